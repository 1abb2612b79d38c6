"""HTTP shapes of consents."""

from datetime import UTC, datetime, time
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from carillon.kernel.subject import Subject

from .contracts import Actor, ConsentEntry, LedgerEntry, Policy, Standing, Suppression

# PostgreSQL stores every character but NUL.
Text = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00]*$")]
Proof = Annotated[Text, Field(min_length=1, max_length=2000)]
Platform = Literal["telegram", "whatsapp", "custom"]
PurposeIn = Literal["marketing", "service"]
Stated = Literal["form", "message", "api", "operator", "platform"]
AddressKind = Literal[
    "phone", "telegram_id", "telegram_username", "whatsapp_bsuid", "whatsapp_lid", "email", "custom_id"
]
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC))]
LocalTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConsentIn(_In):
    """A statement to record."""

    purpose: PurposeIn
    action: Literal["granted", "withdrawn"]
    platform: Platform | Literal["*"] = "*"
    source: Stated = "operator"
    at: Moment | None = Field(None, description="When the person said it; now if left out")
    proof: Proof | None = Field(None, description="Text, https://…, blob:<key> or message:<id>; a grant needs it")
    text_version: Annotated[Text, Field(max_length=100)] | None = None
    expires_at: Moment | None = None

    def entry(self, contact_id: UUID, subject: Subject, now: datetime) -> ConsentEntry:
        """As the facade takes it."""
        return ConsentEntry(
            contact_id=contact_id,
            actor=Actor.of(subject),
            at=self.at or now,
            **self.model_dump(exclude={"at"}),
        )


class OptOutIn(_In):
    """Why a person is opted out."""

    source: Stated = "operator"
    proof: Proof | None = None
    at: Moment | None = None


class OptInIn(_In):
    """What shows that a person wants to be written to again."""

    source: Stated = "operator"
    proof: Proof
    at: Moment | None = None


class ChangedOut(BaseModel):
    """Whether anything changed."""

    changed: bool


class RecordedOut(BaseModel):
    """The new ledger entry."""

    id: UUID


class LedgerEntryOut(BaseModel):
    """One line of the ledger, with its evidence."""

    id: UUID
    contact_id: UUID
    purpose: str
    action: str
    platform: str
    source: str
    at: datetime
    recorded_at: datetime
    expires_at: datetime | None
    proof: str | None
    text_version: str | None
    actor_kind: str
    actor_id: UUID | None
    counts: bool = Field(description="False: recorded without evidence, so nothing may be sent on it")

    @classmethod
    def of(cls, line: LedgerEntry) -> "LedgerEntryOut":
        """From the facade's shape."""
        entry = line.entry
        return cls(
            id=line.id,
            contact_id=entry.contact_id,
            purpose=entry.purpose,
            action=entry.action,
            platform=entry.platform,
            source=entry.source,
            at=entry.at,
            recorded_at=line.recorded_at,
            expires_at=entry.expires_at,
            proof=entry.proof,
            text_version=entry.text_version,
            actor_kind=entry.actor.kind,
            actor_id=entry.actor.id,
            counts=line.counts,
        )


class StandingOut(BaseModel):
    """Whether a person may be written to now."""

    sendable: bool
    reason: str | None
    quiet_until: datetime | None

    @classmethod
    def of(cls, standing: Standing, quiet_until: datetime | None) -> "StandingOut":
        """From the facade's shape."""
        return cls(sendable=standing.reason is None, reason=standing.reason, quiet_until=quiet_until)


class AddressIn(_In):
    """An address as people write it."""

    kind: AddressKind
    value: Annotated[Text, Field(min_length=1, max_length=254)]


class SuppressionsIn(_In):
    """Addresses to block."""

    addresses: Annotated[list[AddressIn], Field(min_length=1, max_length=10_000)]
    reason: Annotated[Text, Field(min_length=1, max_length=200)]


class SuppressedOut(BaseModel):
    """What an upload did: new addresses, and known people it opted out."""

    added: int
    opted_out: int


class SuppressionOut(BaseModel):
    """A blocked address; only a keyed hash of it is kept, so it cannot be shown."""

    id: UUID
    kind: str
    reason: str
    source: str
    created_at: datetime

    @classmethod
    def of(cls, found: Suppression) -> "SuppressionOut":
        """From the facade's shape."""
        return cls(id=found.id, kind=found.kind, reason=found.reason, source=found.source, created_at=found.created_at)


class BlockedOut(BaseModel):
    """Whether an address is blocked."""

    suppressed: bool


class PolicyBody(_In):
    """A tenant's rules of contact."""

    quiet_start: LocalTime = Field("21:00", description="Local time of the recipient; equal times: no quiet hours")
    quiet_end: LocalTime = "08:00"
    frequency_max: Annotated[int, Field(ge=1, le=1000)] | None = Field(5, description="null: no cap")
    frequency_days: Annotated[int, Field(ge=1, le=365)] = 7
    time_zone: Annotated[Text, Field(min_length=1, max_length=64)] = "UTC"
    stop_words: Annotated[list[Annotated[Text, Field(min_length=1, max_length=40)]], Field(max_length=200)] = []
    confirmations: Annotated[
        dict[Annotated[Text, Field(max_length=35)], Annotated[Text, Field(min_length=1, max_length=1000)]],
        Field(max_length=100),
    ] = {}

    def policy(self) -> Policy:
        """As the facade takes it."""
        return Policy(
            quiet_start=time.fromisoformat(self.quiet_start),
            quiet_end=time.fromisoformat(self.quiet_end),
            frequency_max=self.frequency_max,
            frequency_days=self.frequency_days,
            time_zone=self.time_zone,
            stop_words=tuple(self.stop_words),
            confirmations=self.confirmations,
        )

    @classmethod
    def of(cls, policy: Policy) -> "PolicyBody":
        """From the facade's shape."""
        return cls(
            quiet_start=policy.quiet_start.isoformat("minutes"),
            quiet_end=policy.quiet_end.isoformat("minutes"),
            frequency_max=policy.frequency_max,
            frequency_days=policy.frequency_days,
            time_zone=policy.time_zone,
            stop_words=list(policy.stop_words),
            confirmations=dict(policy.confirmations),
        )
