"""HTTP shapes of contacts."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from carillon.events.catalog.base import name_of
from carillon.events.consumer import Recorded

from .contracts import AddressKind, ContactFilter, FieldType

# PostgreSQL stores every character but NUL, and half a surrogate pair is no text.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=2_000)]
Line = Annotated[Text, Field(max_length=300)]
Tag = Annotated[Text, Field(min_length=1, max_length=200)]
Platform = Literal["telegram", "whatsapp", "custom"]
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC))]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2}$")]
FieldValue = Text | bool | int | float | None


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class AddressIn(_In):
    """An address as a person writes it."""

    kind: AddressKind
    value: Line


class ContactPatch(_In):
    """What to change; what is left out stays. `fields` are merged, null removes one. `addresses` are replaced."""

    name: Line | None = None
    first_name: Line | None = None
    last_name: Line | None = None
    language: Line | None = Field(None, description="BCP 47, e.g. pt-BR")
    time_zone: Line | None = Field(None, description="IANA name, e.g. Asia/Shanghai")
    country: Line | None = Field(None, description="ISO 3166-1 alpha-2")
    tags: Annotated[list[Tag], Field(max_length=100)] = []
    fields: Annotated[dict[Line, FieldValue], Field(max_length=200)] = {}
    addresses: Annotated[list[AddressIn], Field(max_length=50)] = []

    def values(self) -> dict[str, Any]:
        """Only what was sent, as `details.check_details` takes it."""
        given: dict[str, Any] = self.model_dump(exclude_unset=True)
        if "addresses" in given:
            given["addresses"] = [(one.kind.value, one.value) for one in self.addresses]
        return given


class ContactIn(ContactPatch):
    """A new contact."""


class IdentityOut(_Out):
    """An address of a contact; platform `*` for those of no network."""

    id: UUID
    platform: str
    kind: AddressKind
    value: str
    created_at: datetime


class ContactOut(_Out):
    """A person."""

    id: UUID
    name: str
    first_name: str | None
    last_name: str | None
    email: str | None
    language: str | None
    time_zone: str | None
    time_zones: list[str]
    country: str | None
    tags: list[str]
    fields: dict[str, Any]
    peers: dict[str, str]
    consents: dict[str, Any]
    opted_out_at: datetime | None
    opted_out_source: str | None
    last_inbound_at: datetime | None
    merged_into: UUID | None
    erased_at: datetime | None
    created_at: datetime
    updated_at: datetime
    identities: list[IdentityOut]


class EventOut(BaseModel):
    """Something that happened to a contact."""

    id: UUID
    type: str
    at: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, recorded: Recorded) -> "EventOut":
        """From the event store."""
        event = recorded.event
        return cls(id=recorded.id, type=name_of(event), at=recorded.occurred_at, data=event.dump())


class FieldIn(_In):
    """A new custom field."""

    key: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
    label: Line
    type: FieldType
    choices: Annotated[list[Line], Field(max_length=200)] = []


class FieldPatch(_In):
    """What to change of a custom field."""

    label: Line | None = None
    choices: Annotated[list[Line], Field(max_length=200)] | None = None


class FieldOut(_Out):
    """A custom field."""

    id: UUID
    key: str
    label: str
    type: FieldType
    choices: list[str]
    created_at: datetime


class TagOut(BaseModel):
    """A tag and how many contacts have it."""

    tag: str
    count: int


class FilterIn(_In):
    """Which contacts; everything given must hold."""

    ids: Annotated[list[UUID], Field(max_length=10_000)] | None = None
    tag: Tag | None = None
    platform: Platform | None = None
    opted_out: bool | None = None
    updated_since: Moment | None = None
    query: Line | None = None

    def filter(self) -> ContactFilter:
        """As the facade takes it."""
        values = self.model_dump()
        values["ids"] = None if self.ids is None else tuple(self.ids)
        return ContactFilter(**values)


class BulkTagIn(_In):
    """A tag to give to contacts, or to take from them."""

    tag: Tag
    contacts: FilterIn
    remove: bool = False


class BulkActionOut(_Out):
    """What a bulk action did."""

    id: UUID
    kind: str
    tag: str
    count: int
    created_at: datetime
    undone_at: datetime | None


class MergeIn(_In):
    """Two contacts that are one person; the winner's values come first."""

    winner_id: UUID
    loser_id: UUID


class MergeOut(_Out):
    """A merge."""

    id: UUID
    winner_id: UUID
    loser_id: UUID
    created_at: datetime
    undone_at: datetime | None


class ExportIn(_In):
    """Which contacts to export."""

    contacts: FilterIn = FilterIn()


class ExportOut(_Out):
    """An export; `rows` and `size` when it is done."""

    id: UUID
    status: Literal["queued", "running", "done", "failed", "expired"]
    size: int | None
    rows: int
    error: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


class ConsentRuleIn(_In):
    """What the people of a file agreed to; without proof and date they are imported but not sendable."""

    purpose: Literal["marketing", "service"] = "marketing"
    platforms: Annotated[list[Platform | Literal["*"]], Field(min_length=1, max_length=3)] = ["*"]
    source: Annotated[Line, Field(min_length=1)] = "import"
    text_version: Annotated[Text, Field(max_length=100)] | None = None
    proof: Text | None = Field(None, description="Text, https://…, blob:<key> or message:<id>")
    at: Moment | None = Field(None, description="For rows that do not say")
    until: Moment | None = Field(None, description="For rows that do not say")
    everyone: bool = Field(default=False, description="Every row is a grant; else the column `consent` decides")


class OptionsIn(_In):
    """Which column is what, and the rules of an import.

    Targets: `phone telegram_id telegram_username whatsapp_bsuid whatsapp_lid whatsapp_id email custom_id name
    first_name last_name language time_zone country tags consent consent_at consent_expires_at consent_source
    consent_proof field:<key>`.
    """

    mapping: Annotated[dict[Line, Line], Field(max_length=500)]
    region: Region | None = Field(None, description="Country of phone numbers without country code")
    time_zone: Line | None = None
    tags: Annotated[list[Tag], Field(max_length=100)] = []
    duplicates: Literal["skip", "update", "merge"] = "skip"
    consent: ConsentRuleIn | None = None
    date_orders: Annotated[dict[Line, Literal["day_first", "month_first"]], Field(max_length=500)] = Field(
        default={}, description="For dates such as 03/04/2026, by column; as suggested if left out"
    )


class ImportOut(_Out):
    """An import."""

    id: UUID
    file_name: str
    size: int
    status: str
    format: dict[str, Any]
    suggestion: dict[str, Any]
    options: dict[str, Any]
    report: dict[str, Any]
    done_bytes: int
    rows: int
    created: int
    updated: int
    skipped: int
    duplicates: int
    rejected: int
    warnings: int
    opted_out: int
    unsendable: int
    cancel_requested: bool
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class FaultOut(_Out):
    """A row that was not imported, or not as it stands."""

    id: UUID
    kind: str
    row: int
    byte: int | None
    code: str
    field: str | None
    text: str
    raw: dict[str, Any]
