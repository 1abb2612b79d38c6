"""What messages do to conversations: one batch of events at a time, a handful of statements for all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, column, table
from sqlalchemy.sql import select

from carillon.events import outbox
from carillon.events.catalog.conversations import ConversationOpened
from carillon.events.catalog.platforms import InboundReceived, MessageAccepted, MessageChanged
from carillon.events.consumer import Recorded
from carillon.kernel.ids import uuid7
from carillon.storage.database import Tx

from . import repository
from .contracts import Status
from .text import preview_of

# Of delivery's tables only the few columns a list shows are read here: its door hands out one message at a time.
_account = table("account", column("tenant_id", Uuid), column("id", Uuid), column("platform", Text), schema="platforms")
_inbound = table(
    "inbound_message",
    column("tenant_id", Uuid),
    column("id", Uuid),
    column("body", Text),
    column("received_at", DateTime(timezone=True)),
    schema="platforms",
)
_message = table(
    "message",
    column("tenant_id", Uuid),
    column("id", Uuid),
    column("account_id", Uuid),
    column("contact_id", Uuid),
    column("body", Text),
    column("state", Text),
    column("created_at", DateTime(timezone=True)),
    schema="platforms",
)

_UPSERT = """
INSERT INTO platforms.conversation AS c (tenant_id, id, account_id, contact_id, platform, status, unread, last_at,
    last_direction, last_preview, last_message_id, last_inbound_at)
SELECT $1, n.id, n.account_id, n.contact_id, n.platform, 'open', n.unread, n.at, 'in', n.preview, n.message_id, n.at
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::integer[], $7::timestamptz[], $8::text[], $9::uuid[])
    AS n (id, account_id, contact_id, platform, unread, at, preview, message_id)
ORDER BY n.account_id, n.contact_id
ON CONFLICT (tenant_id, account_id, contact_id) DO UPDATE SET
    status = 'open',
    snoozed_until = NULL,
    unread = c.unread + excluded.unread,
    last_at = greatest(c.last_at, excluded.last_at),
    last_direction = CASE WHEN excluded.last_at >= c.last_at THEN 'in' ELSE c.last_direction END,
    last_preview = CASE WHEN excluded.last_at >= c.last_at THEN excluded.last_preview ELSE c.last_preview END,
    last_message_id = CASE WHEN excluded.last_at >= c.last_at THEN excluded.last_message_id ELSE c.last_message_id END,
    last_state = CASE WHEN excluded.last_at >= c.last_at THEN NULL ELSE c.last_state END,
    last_inbound_at = greatest(c.last_inbound_at, excluded.last_inbound_at),
    updated_at = clock_timestamp()
RETURNING c.id, c.account_id, c.contact_id
"""

_SENT = """
UPDATE platforms.conversation c SET
    last_at = n.at, last_direction = 'out', last_preview = n.preview, last_message_id = n.message_id,
    last_state = n.state, last_outbound_at = greatest(c.last_outbound_at, n.at), updated_at = clock_timestamp()
FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::uuid[], $7::text[])
    AS n (account_id, contact_id, at, preview, message_id, state)
WHERE c.tenant_id = $1 AND c.account_id = n.account_id AND c.contact_id = n.contact_id AND n.at >= c.last_at
"""

_STATE = """
UPDATE platforms.conversation c SET last_state = n.state, updated_at = clock_timestamp()
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) AS n (account_id, contact_id, message_id, state)
WHERE c.tenant_id = $1 AND c.account_id = n.account_id AND c.contact_id = n.contact_id
  AND c.last_message_id = n.message_id AND c.last_state IS DISTINCT FROM n.state
"""

Pair = tuple[UUID, UUID]


@dataclass(slots=True)
class _Arrival:
    """What came in from one person to one account in a batch."""

    count: int
    newest: UUID


async def received(tx: Tx, recorded: Sequence[Recorded]) -> None:
    """Open or reopen the conversations of messages that came in, and count them as unread."""
    arrivals: dict[Pair, _Arrival] = {}
    for one in recorded:
        if isinstance(one.event, InboundReceived):
            arrival = arrivals.setdefault(
                (one.event.account_id, one.event.contact_id), _Arrival(0, one.event.inbound_id)
            )
            arrival.count += 1
            arrival.newest = max(arrival.newest, one.event.inbound_id)
    if not arrivals:
        return
    before = await repository.find_pairs(tx, list(arrivals))
    rows = await _upsert(tx, arrivals)
    opened = [row for row in rows if (known := before.get((row[1], row[2]))) is None or known.status is not Status.OPEN]
    await outbox.append(
        tx,
        *[
            ConversationOpened(
                conversation_id=conversation_id,
                account_id=account_id,
                contact_id=contact_id,
                cause="inbound",
                reopened=(account_id, contact_id) in before,
            )
            for conversation_id, account_id, contact_id in opened
        ],
    )


async def sent(tx: Tx, recorded: Sequence[Recorded]) -> None:
    """Note direct messages of ours as the last ones of their conversations, and follow their states."""
    accepted = [one.event for one in recorded if isinstance(one.event, MessageAccepted)]
    changed = [one.event for one in recorded if isinstance(one.event, MessageChanged) and one.event.campaign_id is None]
    driver = await tx.driver()
    rows = await _accepted(tx, accepted)
    if rows:
        await driver.execute(_SENT, tx.tenant, *_columns(rows))
    if changed:
        last = {event.message_id: event for event in changed}
        states = [(e.account_id, e.contact_id, e.message_id, e.state) for e in last.values()]
        await driver.execute(_STATE, tx.tenant, *_columns(states))


async def _accepted(tx: Tx, accepted: Sequence[MessageAccepted]) -> list[tuple[Any, ...]]:
    """The newest message of each conversation, or the statement could pick any of them."""
    newest: dict[Pair, UUID] = {}
    for event in accepted:
        pair = (event.account_id, event.contact_id)
        newest[pair] = max(newest.get(pair, event.message_id), event.message_id)
    if not newest:
        return []
    ids = list(newest.values())
    return [
        (
            one["account_id"],
            one["contact_id"],
            one["created_at"],
            preview_of(one["body"] or ""),
            one["id"],
            one["state"],
        )
        for one in await tx.all(select(_message).where(_message.c.tenant_id == tx.tenant, _message.c.id.in_(ids)))
    ]


async def _upsert(tx: Tx, arrivals: dict[Pair, _Arrival]) -> list[tuple[UUID, UUID, UUID]]:
    ids = [arrival.newest for arrival in arrivals.values()]
    bodies = {
        row["id"]: row
        for row in await tx.all(select(_inbound).where(_inbound.c.tenant_id == tx.tenant, _inbound.c.id.in_(ids)))
    }
    accounts = sorted({account_id for account_id, _ in arrivals})
    platforms = {
        row["id"]: row["platform"]
        for row in await tx.all(select(_account).where(_account.c.tenant_id == tx.tenant, _account.c.id.in_(accounts)))
    }
    rows: list[tuple[Any, ...]] = []
    for (account_id, contact_id), arrival in arrivals.items():
        row = bodies.get(arrival.newest)
        at = row["received_at"] if row else datetime.now(UTC)
        preview = preview_of(row["body"]) if row else ""
        platform = platforms.get(account_id, "")
        rows.append((uuid7(), account_id, contact_id, platform, arrival.count, at, preview, arrival.newest))
    driver = await tx.driver()
    found = await driver.fetch(_UPSERT, tx.tenant, *_columns(rows))
    return [(row["id"], row["account_id"], row["contact_id"]) for row in found]


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(values) for values in zip(*rows, strict=True)]
