"""The life of one message, told from its row, its events, and what happened to its account and campaign meanwhile.

Facts only: codes, times and ids; `telling` makes sentences of them. Nothing here holds a text, a name or an address of
a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.events import history
from carillon.events.catalog.platforms import (
    AccountStateChanged,
    LaneChanged,
    MessageAccepted,
    MessageChanged,
    MessageResent,
)
from carillon.events.consumer import Recorded
from carillon.kernel.clock import SystemClock
from carillon.kernel.errors import NotFound
from carillon.kernel.paging import PageRequest
from carillon.storage.database import Tx

from .contracts import DIRECT_LANE, Message, MessageKind, MessageState
from .ledger import purpose_of
from .reading import get
from .waiting_for import Circumstances, outlook

_PAGE = PageRequest(limit=200)
_AROUND = timedelta(minutes=5)
_CONSENT_REASONS = frozenset(
    {"opted_out", "no_consent", "consent_expired", "consent_withdrawn", "not_sendable_any_more"}
)

_ROW = "SELECT epoch, settled_at FROM platforms.message WHERE tenant_id = :tenant AND id = :id"
_OWNER = """
SELECT l.epoch, l.acquired_at, w.name, coalesce(w.expires_at > clock_timestamp(), false) AS alive
FROM platforms.account_lease l LEFT JOIN platforms.worker w ON w.id = l.worker_id
WHERE l.tenant_id = :tenant AND l.id = :account
"""
_AHEAD = """
SELECT count(*) FROM (
    SELECT FROM platforms.message WHERE account_id = :account AND state = 'queued' AND due_at <= now()
      AND (priority, due_at, id) <
          (SELECT priority, due_at, id FROM platforms.message WHERE tenant_id = :tenant AND id = :id)
    LIMIT 1000) AS ahead
"""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened, or is so.

    Attributes:
        at: When; None for what has no moment.
        code: Which sentence of `telling.SENTENCES`.
        values: What the sentence names.
    """

    at: datetime | None
    code: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A message's life.

    Attributes:
        steps: What happened, oldest first.
        now: How it stands.
        next: What will happen by itself.
        advice: What a person can do; empty when nothing is needed.
    """

    message_id: UUID
    state: MessageState
    steps: tuple[Step, ...]
    now: Step
    next: Step
    advice: tuple[Step, ...]


async def explain(tx: Tx, message_id: UUID) -> Explanation:
    """All that is known of a message.

    Raises:
        MessageNotFound: It is not there, or not this tenant's.
    """
    message = await get(tx, message_id)
    row = await tx.first(_ROW, {"tenant": tx.tenant, "id": message_id})
    assert row is not None
    own = await _events(tx, message_id, message.created_at - _AROUND, None)
    end = _end_of(message, row["settled_at"])
    steps = [_beginning(message, own)]
    steps += await _gate(tx, message, end)
    steps += await _account(tx, message, end)
    steps += _attempts(message, row["epoch"])
    steps += _changes(message, own, row["settled_at"])
    steps += await _evidence(tx, message)
    steps += [
        Step(one.occurred_at, "resent", {"as": one.event.resent_as, "actor": one.event.actor_id})
        for one in own
        if isinstance(one.event, MessageResent)
    ]
    told = sorted(steps, key=lambda step: step.at or message.created_at)
    now, following, advice = outlook(await _circumstances(tx, message))
    return Explanation(
        message_id,
        message.state,
        tuple(told),
        Step(None, *now),
        Step(None, *following),
        tuple(Step(None, *a) for a in advice),
    )


async def _events(tx: Tx, subject_id: UUID, since: datetime, until: datetime | None) -> list[Recorded]:
    found = await history.list_events(tx, _PAGE, subject_id=subject_id, since=since, until=until)
    return list(reversed(found.items))


def _end_of(message: Message, settled_at: datetime | None) -> datetime:
    """Until when its account and campaign matter."""
    if message.state in (MessageState.QUEUED, MessageState.SENDING, MessageState.HELD) or settled_at is None:
        return datetime.now(UTC)
    return settled_at + _AROUND


def _beginning(message: Message, own: list[Recorded]) -> Step:
    values = {
        "campaign": message.campaign_id,
        "variant": message.variant,
        "kind": message.kind.value,
        "actor": message.actor_id,
        "account": message.account_id,
        "due": message.due_at,
    }
    if message.kind is MessageKind.CAMPAIGN:
        return Step(message.created_at, "planned", values)
    accepted = next((one.event for one in own if isinstance(one.event, MessageAccepted)), None)
    if accepted is not None and accepted.resends is not None:
        return Step(message.created_at, "accepted_again", {**values, "original": accepted.resends})
    return Step(message.created_at, "accepted_by" if message.actor_id else "accepted", values)


async def _gate(tx: Tx, message: Message, end: datetime) -> list[Step]:
    if message.campaign_id is None:
        return []
    found = await _events(tx, message.campaign_id, message.created_at, end)
    return [Step(one.occurred_at, f"gate_{one.event.state}") for one in found if isinstance(one.event, LaneChanged)]


async def _account(tx: Tx, message: Message, end: datetime) -> list[Step]:
    """What happened to the account while the message waited or was on its way."""
    found = await _events(tx, message.account_id, message.created_at, end)
    return [
        Step(one.occurred_at, "account_became", {"state": one.event.state, "why": one.event.reason})
        for one in found
        if isinstance(one.event, AccountStateChanged)
    ]


def _attempts(message: Message, epoch: int) -> list[Step]:
    if message.sending_at is None:
        return []
    values = {"epoch": epoch, "account": message.account_id, "attempts": message.attempts}
    return [Step(message.sending_at, "authorised" if message.attempts == 1 else "authorised_again", values)]


def _changes(message: Message, own: list[Recorded], settled_at: datetime | None) -> list[Step]:
    """Each state it came into; the platform's own times where it gave them, ours beside them."""
    platform_at = {"sent": message.sent_at, "delivered": message.delivered_at, "read": message.read_at}
    steps, told = [], set()
    for one in own:
        if isinstance(one.event, MessageChanged):
            state = one.event.state
            told.add(state)
            values = {"reason": one.event.reason, "text": _text_of(message, one.event), "noted": one.occurred_at}
            steps.append(Step(platform_at.get(state) or one.occurred_at, f"became_{state}", values))
    for state, at in platform_at.items():
        # Statuses that came together moved it once; events older than a year are gone.
        if at is not None and state not in told:
            steps.append(Step(at, f"became_{state}", {"reason": None, "text": None, "noted": settled_at}))
    final = message.state.value
    if final not in told and final not in platform_at and final not in ("queued", "sending"):
        values = {"reason": message.reason, "text": message.reason_text, "noted": settled_at}
        steps.append(Step(settled_at or message.created_at, f"became_{final}", values))
    return steps


def _text_of(message: Message, event: MessageChanged) -> str | None:
    return message.reason_text if (event.state, event.reason) == (message.state.value, message.reason) else None


async def _evidence(tx: Tx, message: Message) -> list[Step]:
    """The statement in the consent ledger that decided; a pointer to it, not what the person wrote."""
    if message.state is not MessageState.SUPPRESSED and message.reason != "not_sendable_any_more":
        return []
    if message.reason not in _CONSENT_REASONS:
        return []
    try:
        entries = (await consents.history(tx, message.contact_id, _PAGE)).items
    except NotFound:
        return []
    purpose = purpose_of(message.kind)
    for line in entries:
        entry = line.entry
        everything = entry.action in ("opted_out", "opted_in")
        if everything or (entry.purpose == purpose and entry.platform in ("*", message.platform)):
            values = {
                "entry": line.id,
                "action": str(entry.action),
                "source": str(entry.source),
                "actor": f"{entry.actor.kind} {entry.actor.id or ''}".strip(),
                "expires": entry.expires_at,
                "recorded": line.recorded_at,
            }
            return [Step(entry.at, "evidence", values)]
    return [Step(None, "no_evidence", {"purpose": purpose, "platform": message.platform})]


async def _circumstances(tx: Tx, message: Message) -> Circumstances:
    params = {"tenant": tx.tenant, "account": message.account_id, "id": message.id}
    now = SystemClock().now()
    lane = None
    if message.campaign_id is not None and message.campaign_id != DIRECT_LANE:
        lane = await tx.scalar(
            "SELECT state FROM platforms.lane WHERE tenant_id = :tenant AND id = :id",
            {"tenant": tx.tenant, "id": message.campaign_id},
        )
    account = await tx.first(
        "SELECT state, reason, reason_code, wait_until FROM platforms.account "
        "WHERE tenant_id = :tenant AND id = :account",
        params,
    )
    owner = await tx.first(_OWNER, params)
    standing = await consents.look_up(
        tx, message.contact_id, platform=message.platform, purpose=purpose_of(message.kind), at=now
    )
    waits = message.state is MessageState.QUEUED
    return Circumstances(
        message=message,
        now=now,
        lane=lane,
        account=dict(account) if account else None,
        owner=dict(owner) if owner else None,
        refusal=standing.reason,
        quiet_at_due=_quiet(await consents.get_policy(tx), standing.time_zones, message),
        ahead=int(await tx.scalar(_AHEAD, params)) if waits else 0,
    )


def _quiet(policy: Any, zones: tuple[str, ...], message: Message) -> bool:
    """Whether its due time is the end of the person's quiet hours: then these put it off."""
    if message.kind is not MessageKind.CAMPAIGN:
        return False
    before = message.due_at - timedelta(minutes=1)
    return consents.quiet_until(policy, zones, before) == message.due_at
