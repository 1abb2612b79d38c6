"""What crosses the boundary of campaigns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from carillon.platforms.delivery.contracts import MessageState as MessageState  # noqa: PLC0414 - for the HTTP shapes


class CampaignState(StrEnum):
    """The life of a campaign.

    `draft → scheduled → planning → running → finished`; the three in between may be paused and resumed, and
    cancelled, paused or not.
    """

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PLANNING = "planning"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class ScheduleKind(StrEnum):
    """When a campaign goes out."""

    NOW = "now"
    AT = "at"
    LOCAL = "local"
    RECURRING = "recurring"


@dataclass(frozen=True, slots=True)
class CampaignSchedule:
    """When.

    Attributes:
        at: For AT: the moment (UTC). For LOCAL: the wall-clock time without zone, in each person's own zone.
        cron: For RECURRING: five fields, in `zone`; each time a copy is made and started.
        zone: IANA name; also for people whose zone nobody knows.
    """

    kind: ScheduleKind = ScheduleKind.NOW
    at: datetime | None = None
    cron: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class CampaignVariant:
    """One variant: its share relative to the others, and its text per language (`""` is for everyone else)."""

    name: str
    weight: int
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Guards:
    """When a campaign pauses itself; None switches a guard off.

    Attributes:
        failure_rate: Failed of all attempted, 0 to 1.
        opt_out_rate: Opted out of all sent, 0 to 1.
        restricted_accounts: Most accounts of the campaign that may be restricted or banned on the way.
        minimum: Rates are judged from so many messages on.

    After a pause is lifted all counts begin anew, so that who resumes a campaign is not at once overruled.
    """

    failure_rate: float | None = 0.2
    opt_out_rate: float | None = 0.05
    restricted_accounts: int | None = None
    minimum: int = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author decides.

    Attributes:
        segment_id: The audience as a stored segment, or
        rule: as a rule of its own.
        platforms: In order of preference.
        account_ids: The pool; None for every account on these platforms.
        account_labels: Narrows the pool to accounts with one of these labels.
    """

    name: str
    platforms: tuple[str, ...]
    variants: tuple[CampaignVariant, ...]
    description: str = ""
    segment_id: UUID | None = None
    rule: Mapping[str, Any] | None = None
    account_ids: tuple[UUID, ...] | None = None
    account_labels: tuple[str, ...] = ()
    schedule: CampaignSchedule = field(default_factory=CampaignSchedule)
    guards: Guards = field(default_factory=Guards)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign.

    Attributes:
        pause_reason: Why it stands still, if it paused itself: the guard's name, or the code of the error that
            planning met.
        planned_after: How far planning has come; with `planning_done` it is through.
        planned: Messages in the ledger.
        excluded: People left out, by reason.
        attempted: Messages that a platform has taken or refused.
        failed: Those of them that it refused, then or later.
        replies: People who wrote back, counted per message.
        opt_outs: People who opted out because of it.
        restricted: Accounts that have messages of it and were restricted or banned on the way.
        parent_id: The campaign it is a copy of.
        next_at: When a scheduled one is due.
        version: Grows with every change; an update names the one it saw.
        lost_accounts: Accounts of the tenant that were restricted or banned while it was under way.
        judged_from: The counts when it was last resumed: guards look at what was added since.
    """

    id: UUID
    draft: Draft
    state: CampaignState
    pause_reason: str | None
    planned_after: UUID | None
    planning_done: bool
    planned: int
    excluded: Mapping[str, int]
    attempted: int
    failed: int
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
    lost_accounts: tuple[UUID, ...] = ()
    judged_from: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CampaignReview:
    """What starting would do.

    Attributes:
        audience: People in the segment.
        sendable: Those who would get a message.
        excluded: The others, by reason.
        by_account: Messages per account.
        by_variant: Messages per variant.
        seconds: How long sending takes at the accounts' limits; None when there is no account.
        cost: Price of all messages by currency, where accounts name one.
        warnings: Codes of what an author should look at.
    """

    audience: int
    sendable: int
    excluded: Mapping[str, int]
    by_account: Mapping[UUID, int]
    by_variant: Mapping[str, int]
    seconds: float | None
    cost: Mapping[str, Decimal]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Funnel:
    """How far a campaign is.

    Attributes:
        states: Messages by their present state.
        reached: Messages that got at least so far: sent, delivered, read.
        reasons: Failures, suppressions and holds by reason.
        by_variant: `states` per variant.
        remaining: Messages still to go; those held because their account cannot send are not among them, though the
            campaign goes on until they have gone too or are cancelled.
        next_due_at: When the next one is due.
    """

    states: Mapping[MessageState, int]
    reached: Mapping[str, int]
    reasons: Mapping[str, int]
    by_variant: Mapping[str, Mapping[MessageState, int]]
    remaining: int
    next_due_at: datetime | None
    replies: int
    opt_outs: int


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person of a campaign: the message they got, or the reason why not.

    Attributes:
        name: Empty when the person was erased.
        peer: The address it goes to.
        reason: Code of a failure, suppression or hold.
    """

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
