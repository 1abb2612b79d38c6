"""Reading the ledger."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx

from .contracts import DIRECT_LANE, Inbound, Message, MessageKind, MessageState, Progress
from .errors import MessageNotFound
from .models import OPEN, WAITING, inbound_message, message

_MESSAGE = (
    message.c.id,
    message.c.account_id,
    message.c.contact_id,
    message.c.lane,
    message.c.platform,
    message.c.peer,
    message.c.kind,
    message.c.variant,
    message.c.body,
    message.c.state,
    message.c.reason,
    message.c.reason_text,
    message.c.platform_id,
    message.c.attempts,
    message.c.due_at,
    message.c.created_at,
    message.c.sending_at,
    message.c.sent_at,
    message.c.delivered_at,
    message.c.read_at,
    message.c.actor_id,
)
_PHASES = {
    MessageState.QUEUED: OPEN,
    MessageState.SENDING: OPEN,
    MessageState.HELD: WAITING,
    MessageState.UNKNOWN: WAITING,
}
_INBOUND = (
    inbound_message.c.id,
    inbound_message.c.account_id,
    inbound_message.c.contact_id,
    inbound_message.c.chat,
    inbound_message.c.sender,
    inbound_message.c.platform_id,
    inbound_message.c.body,
    inbound_message.c.sent_at,
    inbound_message.c.received_at,
)


async def get(tx: Tx, message_id: UUID, *, lock: bool = False) -> Message:
    """One message; with `lock` nothing becomes of it until the transaction ends.

    Raises:
        MessageNotFound: It is not there, or not this tenant's.
    """
    query = select(*_MESSAGE).where(message.c.tenant_id == tx.tenant, message.c.id == message_id)
    row = await tx.first(query.with_for_update() if lock else query)
    if row is None:
        raise MessageNotFound
    return _message(row)


async def get_inbound(tx: Tx, inbound_id: UUID) -> Inbound:
    """One message that came in.

    Raises:
        MessageNotFound: It is not there, or not this tenant's.
    """
    row = await tx.first(
        select(*_INBOUND).where(inbound_message.c.tenant_id == tx.tenant, inbound_message.c.id == inbound_id)
    )
    if row is None:
        raise MessageNotFound
    return Inbound(**row)


async def search(
    tx: Tx,
    page: PageRequest,
    *,
    campaign_id: UUID | None = None,
    contact_id: UUID | None = None,
    account_id: UUID | None = None,
    state: MessageState | None = None,
) -> Page[Message]:
    """Messages, newest first; those of a campaign in the order of its people, the newest person first.

    A campaign has one message a person, and the index that says so is the only one by campaign: a page costs the same
    whether it has ten messages or a million. Only a rare state among a million has to be looked for.
    """
    by = message.c.id if campaign_id is None else message.c.contact_id
    filters: list[ColumnElement[bool]] = [message.c.tenant_id == tx.tenant]
    wanted: Mapping[Any, Any] = {
        message.c.lane: campaign_id,
        message.c.contact_id: contact_id,
        message.c.account_id: account_id,
        message.c.state: state.value if state else None,
    }
    filters += [column == value for column, value in wanted.items() if value is not None]
    if campaign_id is not None:
        filters.append(message.c.kind == MessageKind.CAMPAIGN.value)
    if state in _PHASES:
        filters.append(message.c.phase == _PHASES[state])
    if page.cursor:
        (before,) = decode_cursor(page.cursor, UUID)
        filters.append(by < before)
    rows = await tx.all(select(*_MESSAGE).where(*filters).order_by(by.desc()).limit(page.limit + 1))
    items = [_message(row) for row in rows[: page.limit]]
    last = rows[len(items) - 1][by.name] if items else None
    return Page(items, encode_cursor(str(last)) if len(rows) > page.limit else None)


async def thread(
    tx: Tx, contact_id: UUID, page: PageRequest, account_id: UUID | None = None
) -> Page[Message | Inbound]:
    """Everything said between us and a person, newest first: both directions, by time-ordered id."""
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None

    def newest(query: Select[Any], table: Any) -> Select[Any]:
        query = query.where(table.c.tenant_id == tx.tenant, table.c.contact_id == contact_id)
        if account_id is not None:
            query = query.where(table.c.account_id == account_id)
        if before is not None:
            query = query.where(table.c.id < before)
        return query.order_by(table.c.id.desc()).limit(page.limit + 1)

    sent = [_message(row) for row in await tx.all(newest(select(*_MESSAGE), message))]
    came = [Inbound(**row) for row in await tx.all(newest(select(*_INBOUND), inbound_message))]
    merged: list[Message | Inbound] = sorted([*sent, *came], key=lambda item: item.id, reverse=True)
    items = merged[: page.limit]
    return Page(items, encode_cursor(str(items[-1].id)) if len(merged) > page.limit else None)


async def progress(tx: Tx, campaign_id: UUID) -> Progress:
    """How far a campaign is, in one statement."""
    rows = await tx.all(
        select(
            message.c.state,
            message.c.variant,
            message.c.reason,
            func.count().label("count"),
            func.min(message.c.due_at).filter(message.c.state == MessageState.QUEUED.value).label("next_due_at"),
        )
        .where(message.c.tenant_id == tx.tenant, message.c.lane == campaign_id, message.c.kind == MessageKind.CAMPAIGN)
        .group_by(message.c.state, message.c.variant, message.c.reason)
    )
    states: dict[MessageState, int] = {}
    reasons: dict[str, int] = {}
    variants: dict[str, dict[MessageState, int]] = {}
    for row in rows:
        state = MessageState(row["state"])
        states[state] = states.get(state, 0) + row["count"]
        of_variant = variants.setdefault(row["variant"] or "", {})
        of_variant[state] = of_variant.get(state, 0) + row["count"]
        if row["reason"] is not None:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["count"]
    dues: list[datetime] = [row["next_due_at"] for row in rows if row["next_due_at"] is not None]
    return Progress(states, reasons, variants, min(dues, default=None))


# Account by account, since the working indexes begin with it; LATERAL … LIMIT 1 binds the planner to them.
_MAY_GO = """
SELECT EXISTS (
    SELECT FROM platforms.account a, LATERAL (
        SELECT FROM platforms.message m
        WHERE m.tenant_id = :tenant AND m.account_id = a.id AND m.lane = :lane AND m.phase = 0 LIMIT 1
    ) open WHERE a.tenant_id = :tenant
) OR EXISTS (
    SELECT FROM platforms.account a, LATERAL (
        SELECT FROM platforms.message m
        WHERE m.tenant_id = :tenant AND m.account_id = a.id AND m.lane = :lane AND m.phase = 1 AND m.state = 'held'
        LIMIT 1
    ) held WHERE a.tenant_id = :tenant
)
"""


async def may_go(tx: Tx, campaign_id: UUID) -> bool:
    """Whether anything of a campaign may still leave: queued, on its way, or held with its account.

    Cheap however many messages it has: one probe an account, not a count.
    """
    found: bool = await tx.scalar(_MAY_GO, {"tenant": tx.tenant, "lane": campaign_id})
    return found


_LAST_CAMPAIGNS = """
SELECT last.lane
FROM unnest($2::uuid[], $3::timestamptz[]) WITH ORDINALITY AS n (contact_id, since, place)
LEFT JOIN LATERAL (
    SELECT m.lane FROM platforms.message m
    WHERE m.tenant_id = $1 AND m.contact_id = n.contact_id AND m.kind = 'campaign' AND m.sending_at > n.since
    ORDER BY m.id DESC LIMIT 1
) last ON true
ORDER BY n.place
"""


async def last_campaigns(tx: Tx, people: Sequence[tuple[UUID, datetime]]) -> list[UUID | None]:
    """The campaign that wrote to each of these people last, if that was later than the given time."""
    driver = await tx.driver()
    rows = await driver.fetch(_LAST_CAMPAIGNS, tx.tenant, [one for one, _ in people], [since for _, since in people])
    return [row["lane"] for row in rows]


async def count_senders(tx: Tx, campaign_id: UUID, account_ids: Collection[UUID]) -> int:
    """How many of these accounts have messages of the campaign."""
    rows = await tx.all(
        "SELECT a.id FROM unnest(CAST(:accounts AS uuid[])) AS a (id) WHERE EXISTS (SELECT FROM platforms.message m "
        "WHERE m.tenant_id = :tenant AND m.lane = :lane AND m.kind = 'campaign' AND m.account_id = a.id)",
        {"accounts": list(account_ids), "tenant": tx.tenant, "lane": campaign_id},
    )
    return len(rows)


def _message(row: Any) -> Message:
    values = dict(row)
    lane = values.pop("lane")
    values["campaign_id"] = None if lane == DIRECT_LANE else lane
    values["kind"] = MessageKind(values["kind"])
    values["state"] = MessageState(values["state"])
    return Message(**values)
