"""HTTP shapes of campaigns."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, NaiveDatetime, StringConstraints

from carillon.kernel.lines import ONE_LINE

from .contracts import (
    Campaign,
    CampaignReview,
    CampaignSchedule,
    CampaignState,
    CampaignVariant,
    Draft,
    Funnel,
    Guards,
    MessageState,
    Recipient,
    ScheduleKind,
)

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=ONE_LINE)]
Platform = Literal["telegram", "whatsapp", "custom"]
Body = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
Language = Annotated[str, Field(max_length=50, pattern=ONE_LINE)]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


def _text_only(value: Any) -> Any:
    if not isinstance(value, str):
        message = "a time is written as text, e.g. 2026-12-24T18:00:00+01:00"
        raise ValueError(message)  # noqa: TRY004 - what pydantic expects
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_text_only, json_schema_input_type=AwareDatetime)]
WallTime = Annotated[NaiveDatetime, BeforeValidator(_text_only, json_schema_input_type=NaiveDatetime)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VariantBody(_In):
    """A variant: its share relative to the others, and its text per language."""

    name: Annotated[str, Field(min_length=1, max_length=50, pattern=ONE_LINE)]
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    texts: Annotated[
        dict[Language, Body], Field(min_length=1, max_length=50, description='By BCP 47; `""` is for everyone else')
    ]


class ScheduleBody(_In):
    """When: `now`; `at` a moment; `local`, a wall-clock time in each zone; `recurring` by a cron expression."""

    kind: ScheduleKind = ScheduleKind.NOW
    at: Moment | WallTime | None = Field(None, description="With an offset for `at`, without one for `local`")
    cron: Annotated[str, Field(max_length=100)] | None = Field(None, description="Five fields, in `zone`")
    zone: Annotated[str, Field(max_length=64)] = "UTC"


class GuardsBody(_In):
    """When the campaign pauses itself; null switches a guard off."""

    failure_rate: Rate | None = 0.2
    opt_out_rate: Rate | None = 0.05
    restricted_accounts: Count | None = None
    minimum: Annotated[int, Field(ge=1, le=1_000_000_000)] = 100


class CampaignIn(_In):
    """What an author decides; the audience is a segment or a rule."""

    name: Annotated[Line, Field(min_length=1)]
    description: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""
    platforms: Annotated[list[Platform], Field(min_length=1, max_length=3, description="In order of preference")]
    segment_id: UUID | None = None
    rule: dict[str, Any] | None = None
    account_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000)] | None = None
    account_labels: Annotated[list[Line], Field(max_length=50)] = []
    variants: Annotated[list[VariantBody], Field(min_length=1, max_length=10)]
    schedule: ScheduleBody = ScheduleBody()
    guards: GuardsBody = GuardsBody()

    def draft(self) -> Draft:
        """As the facade takes it."""
        return Draft(
            name=self.name,
            description=self.description,
            platforms=tuple(self.platforms),
            segment_id=self.segment_id,
            rule=self.rule,
            account_ids=tuple(self.account_ids) if self.account_ids is not None else None,
            account_labels=tuple(self.account_labels),
            variants=tuple(CampaignVariant(one.name, one.weight, one.texts) for one in self.variants),
            schedule=CampaignSchedule(**dict(self.schedule)),
            guards=Guards(**dict(self.guards)),
        )


class CampaignChangeIn(CampaignIn):
    """A draft as it shall be."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1, description="The version that was read")]


class CampaignTestIn(_In):
    """Which variant goes to whom."""

    contact_id: UUID
    account_id: UUID
    variant: Annotated[str, Field(min_length=1, max_length=50)]
    language: Language | None = Field(None, description="Instead of the person's own")


class CampaignCloneIn(_In):
    """The copy's name; made from the original's if left out."""

    name: Annotated[Line, Field(min_length=1)] | None = None


class ScheduleOut(BaseModel):
    """When."""

    kind: ScheduleKind
    at: str | None = Field(description="ISO 8601; without an offset for `local`")
    cron: str | None
    zone: str


class CampaignOut(BaseModel):
    """A campaign."""

    id: UUID
    name: str
    description: str
    platforms: list[str]
    segment_id: UUID | None
    rule: dict[str, Any] | None
    account_ids: list[UUID] | None
    account_labels: list[str]
    variants: list[VariantBody]
    schedule: ScheduleOut
    guards: GuardsBody
    state: CampaignState
    pause_reason: str | None = Field(description="Why it paused itself: a guard, or the code of what planning met")
    planned: int
    planning_done: bool
    excluded: dict[str, int] = Field(description="People left out, by reason")
    attempted: int = Field(description="Messages that a platform has taken or refused")
    failed: int = Field(description="Those of them that it refused, then or later")
    replies: int
    opt_outs: int
    restricted: int
    parent_id: UUID | None
    next_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Campaign) -> "CampaignOut":
        """From the facade's shape."""
        draft, schedule, guards = found.draft, found.draft.schedule, found.draft.guards
        own = {name: getattr(found, name) for name in cls.model_fields if hasattr(found, name)}
        drafted = {name: getattr(draft, name) for name in cls.model_fields if hasattr(draft, name)}
        variants = [VariantBody(name=one.name, weight=one.weight, texts=dict(one.texts)) for one in draft.variants]
        written = {
            "variants": variants,
            "schedule": ScheduleOut(
                kind=schedule.kind,
                at=schedule.at.isoformat() if schedule.at else None,
                cron=schedule.cron,
                zone=schedule.zone,
            ),
            "guards": GuardsBody(**{name: getattr(guards, name) for name in GuardsBody.model_fields}),
        }
        return cls(**{**own, **drafted, **written})


class ReviewOut(BaseModel):
    """What starting would do."""

    model_config = ConfigDict(from_attributes=True)

    audience: int
    sendable: int
    excluded: dict[str, int]
    by_account: dict[UUID, int]
    by_variant: dict[str, int]
    seconds: float | None = Field(description="At the accounts' limits; null when nobody gets anything")
    cost: dict[str, Decimal] = Field(description="By currency, of accounts that name a price")
    warnings: list[str]

    @classmethod
    def of(cls, found: CampaignReview) -> "ReviewOut":
        """From the facade's shape."""
        return cls.model_validate(found)


class ProgressOut(BaseModel):
    """How far it is."""

    model_config = ConfigDict(from_attributes=True)

    states: dict[MessageState, int]
    reached: dict[str, int] = Field(description="Messages that got at least so far: sent, delivered, read")
    reasons: dict[str, int]
    by_variant: dict[str, dict[MessageState, int]]
    remaining: int
    next_due_at: datetime | None
    replies: int
    opt_outs: int

    @classmethod
    def of(cls, found: Funnel) -> "ProgressOut":
        """From the facade's shape."""
        return cls.model_validate(found)


class RecipientOut(BaseModel):
    """One person and what became of their message."""

    model_config = ConfigDict(from_attributes=True)

    message_id: UUID
    contact_id: UUID
    name: str
    platform: str
    peer: str
    account_id: UUID | None
    variant: str | None
    state: MessageState
    reason: str | None
    reason_text: str | None
    due_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None

    @classmethod
    def of(cls, found: Recipient) -> "RecipientOut":
        """From the facade's shape."""
        return cls.model_validate(found)


class SentTestOut(BaseModel):
    """The message on its way."""

    message_id: UUID
    state: MessageState
    body: str
