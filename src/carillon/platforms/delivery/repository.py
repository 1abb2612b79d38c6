"""The SQL of the send ledger's hot path: plain statements over arrays, one round trip each.

Every statement runs inside one tenant (row-level security) and names it too, so that indexes serve.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from carillon.storage.database import Tx

from . import metrics
from .contracts import MessageKind, MessageState


class DueRow(NamedTuple):
    """A queued message as the dispatcher reads it ahead. A tuple: there are tens of thousands a second."""

    tenant_id: UUID
    id: UUID
    account_id: UUID
    contact_id: UUID
    lane: UUID
    platform: str
    peer: str
    kind: MessageKind
    content_id: UUID | None
    body: str | None
    reply_to: str | None
    resend: bool = False


class Outcome(NamedTuple):
    """How an attempt ended, to be written back.

    Attributes:
        state: The new state; `QUEUED` puts the message back for `wait` seconds.
        epoch: Of the lease under which it was authorised.
        wait: Counted by the database's clock, as everything that becomes due: ours may be hours ahead of it.
    """

    id: UUID
    epoch: int
    state: MessageState
    reason: str | None = None
    reason_text: str | None = None
    platform_id: str | None = None
    at: datetime | None = None
    wait: float | None = None


_KINDS = {kind.value: kind for kind in MessageKind}

_DUE = """
SELECT m.tenant_id, m.id, m.account_id, m.contact_id, m.lane, m.platform, m.peer, m.kind, m.content_id, m.body,
       m.reply_to
FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS want (tenant_id, account_id, most)
CROSS JOIN LATERAL (
    SELECT id FROM platforms.lane WHERE tenant_id = want.tenant_id AND state = 'running'
    UNION ALL SELECT '00000000-0000-0000-0000-000000000000'::uuid
) AS opened
CROSS JOIN LATERAL (
    SELECT * FROM platforms.message
    WHERE account_id = want.account_id AND phase = 0 AND state = 'queued' AND lane = opened.id AND due_at <= now()
    ORDER BY priority, due_at, id
    LIMIT want.most
) AS m
ORDER BY m.priority, m.due_at, m.id
"""


async def due(tx: Tx, wanted: Sequence[tuple[UUID, UUID, int]]) -> list[DueRow]:
    """Due messages of `(tenant, account, at most)`: replies first, then by due time."""
    driver = await tx.driver()
    tenants, accounts, most = zip(*wanted, strict=True)
    rows = await driver.fetch(_DUE, list(tenants), list(accounts), list(most))
    return [_due_row(row) for row in rows]


def _due_row(row: asyncpg.Record, *, resend: bool = False) -> DueRow:
    tenant, message, account, contact, lane, platform, peer, kind, content, body, reply_to = row
    return DueRow(
        tenant, message, account, contact, lane, platform, peer, _KINDS[kind], content, body, reply_to, resend
    )


# Which rows were changed is told only when it was not all of them: ids are a good part of what goes over the line.
_SENDING = """
WITH marked AS (
    UPDATE platforms.message m
    SET state = 'sending', epoch = go.epoch, body = go.body, sending_at = clock_timestamp(), attempts = attempts + 1
    FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS go (id, epoch, body)
    WHERE m.tenant_id = $1 AND m.id = go.id AND m.state = 'queued'
    RETURNING m.id
)
SELECT CASE WHEN count(*) < $5 THEN coalesce(array_agg(id), '{}') END FROM marked
"""


async def mark_sending(tx: Tx, go: Sequence[tuple[UUID, int, str]]) -> Collection[UUID]:
    """Write the intent `(id, epoch, text)`; returns those that were still queued."""
    driver = await tx.driver()
    ids, epochs, bodies = zip(*go, strict=True)
    marked = await driver.fetchval(_SENDING, tx.tenant, ids, epochs, bodies, len(go))
    return ids if marked is None else frozenset(marked)


_SETTLE = """
UPDATE platforms.message m
SET state = o.state, reason = o.reason, reason_text = o.reason_text,
    platform_id = coalesce(o.platform_id, m.platform_id),
    due_at = coalesce(clock_timestamp() + make_interval(secs => o.wait), m.due_at),
    settled_at = clock_timestamp()
FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[])
     AS o (id, epoch, state, reason, reason_text, platform_id, wait)
WHERE m.tenant_id = $1 AND m.id = o.id AND m.epoch = o.epoch AND m.state = 'sending'
RETURNING m.id, m.account_id, m.contact_id, m.lane, m.kind, m.state, m.reason, m.platform_id
"""


async def settle(tx: Tx, outcomes: Sequence[Outcome]) -> list[asyncpg.Record]:
    """Compare-and-set outcomes other than `sent`; returns the rows that were ours to change.

    Those are the rows that are still `sending`: if a platform's status was first, it knows better than we do.
    """
    driver = await tx.driver()
    ids, epochs, states, reasons, texts, platform_ids, _, waits = zip(*outcomes, strict=True)
    return await driver.fetch(_SETTLE, tx.tenant, ids, epochs, states, reasons, texts, platform_ids, waits)


# A status may have come before the answer to our own call: then the state has moved on already and stays. Whether it
# was this statement that moved it shows in `settled_at`: now() is this transaction's alone.
_SETTLE_SENT = """
WITH settled AS (
    UPDATE platforms.message m
    SET state = CASE WHEN m.state = 'sending' THEN 'sent' ELSE m.state END,
        platform_id = o.platform_id, sent_at = coalesce(m.sent_at, o.at),
        settled_at = CASE WHEN m.state = 'sending' THEN now() ELSE coalesce(m.settled_at, clock_timestamp()) END
    FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[]) AS o (id, epoch, platform_id, at)
    WHERE m.tenant_id = $1 AND m.id = o.id AND m.epoch = o.epoch
      AND m.state IN ('sending', 'sent', 'delivered', 'read', 'failed', 'unknown')
    RETURNING m.id, m.settled_at = now() AS moved, m.sent_at - m.due_at AS waited
)
SELECT CASE WHEN count(*) < $6 THEN coalesce(array_agg(id), '{}') END,
    coalesce(array_agg(id) FILTER (WHERE NOT moved), '{}'),
    EXISTS (SELECT FROM platforms.early_status WHERE tenant_id = $1),
    max(waited)
FROM settled
"""


class SettledSent(NamedTuple):
    """What became of accepted messages.

    Attributes:
        ours: The rows that were ours to change.
        known: Those of them that a status had moved before.
        early: The tenant has statuses that came before we knew the platform's ids.
    """

    ours: Collection[UUID]
    known: Collection[UUID]
    early: bool


async def settle_sent(tx: Tx, outcomes: Sequence[Outcome]) -> SettledSent:
    """`settle` for accepted messages."""
    driver = await tx.driver()
    ids, epochs, _, _, _, platform_ids, ats, _ = zip(*outcomes, strict=True)
    row = await driver.fetchrow(_SETTLE_SENT, tx.tenant, ids, epochs, platform_ids, ats, len(outcomes))
    assert row is not None
    ours, known, early, waited = row
    metrics.observe_sent(waited)
    return SettledSent(ids if ours is None else frozenset(ours), frozenset(known), early)


_SUPPRESS = """
UPDATE platforms.message m
SET state = 'suppressed', reason = s.reason, settled_at = clock_timestamp()
FROM unnest($2::uuid[], $3::text[]) AS s (id, reason)
WHERE m.tenant_id = $1 AND m.id = s.id AND m.state = 'queued'
RETURNING m.id, m.account_id, m.contact_id, m.lane, m.kind, m.state, m.reason, m.platform_id
"""


async def suppress(tx: Tx, reasons: Sequence[tuple[UUID, str]]) -> list[asyncpg.Record]:
    """Give queued messages up, `(id, reason)`: they may not be sent."""
    driver = await tx.driver()
    ids, codes = zip(*reasons, strict=True)
    return await driver.fetch(_SUPPRESS, tx.tenant, list(ids), list(codes))


_DEFER = """
UPDATE platforms.message m SET due_at = d.due_at
FROM unnest($2::uuid[], $3::timestamptz[]) AS d (id, due_at)
WHERE m.tenant_id = $1 AND m.id = d.id AND m.state = 'queued'
"""


async def defer(tx: Tx, later: Sequence[tuple[UUID, datetime]]) -> None:
    """Make queued messages due later, `(id, when)`: quiet hours."""
    driver = await tx.driver()
    ids, times = zip(*later, strict=True)
    await driver.execute(_DEFER, tx.tenant, list(ids), list(times))


_CAPPED = """
SELECT contact_id, count(*) AS sent FROM platforms.message
WHERE tenant_id = $1 AND contact_id = ANY($2::uuid[]) AND kind = 'campaign' AND sending_at > $3
  AND state IN ('sending', 'sent', 'delivered', 'read', 'unknown')
GROUP BY contact_id
"""


async def sent_since(tx: Tx, contact_ids: Sequence[UUID], since: datetime) -> dict[UUID, int]:
    """How many campaign messages each of these people got since then."""
    driver = await tx.driver()
    rows = await driver.fetch(_CAPPED, tx.tenant, list(contact_ids), since)
    return {row["contact_id"]: row["sent"] for row in rows}


_WRITTEN_TO = """
SELECT account_id, contact_id, max(sending_at) AS at FROM platforms.message
WHERE tenant_id = $1 AND account_id = ANY($2::uuid[]) AND kind = 'campaign' AND sending_at > $3
GROUP BY account_id, contact_id
"""


async def written_to_since(tx: Tx, account_ids: Sequence[UUID], since: datetime) -> list[tuple[UUID, UUID, datetime]]:
    """Whom these accounts began to send campaign messages to since then, `(account, person, last)`."""
    driver = await tx.driver()
    rows = await driver.fetch(_WRITTEN_TO, tx.tenant, list(account_ids), since)
    return [(row["account_id"], row["contact_id"], row["at"]) for row in rows]


async def running_lanes(tx: Tx, lanes: Sequence[UUID]) -> set[UUID]:
    """Those of the lanes that are running, locked until the transaction ends so that a pause waits for us."""
    driver = await tx.driver()
    rows = await driver.fetch(
        "SELECT id FROM platforms.lane WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND state = 'running' "
        "ORDER BY id FOR SHARE",
        tx.tenant,
        list(lanes),
    )
    return {row["id"] for row in rows}


_ADOPT = """
UPDATE platforms.message m SET epoch = $3
WHERE m.tenant_id = $1 AND m.account_id = $2 AND m.phase = 0 AND m.state = 'sending' AND m.epoch < $3
RETURNING m.tenant_id, m.id, m.account_id, m.contact_id, m.lane, m.platform, m.peer, m.kind, m.content_id, m.body,
          m.reply_to
"""

_ABANDON = """
UPDATE platforms.message m
SET state = 'unknown', reason = 'interrupted', settled_at = clock_timestamp(), epoch = $3,
    reason_text = 'The process that was sending this stopped; the platform may or may not have it.'
WHERE m.tenant_id = $1 AND m.account_id = $2 AND m.phase = 0 AND m.state = 'sending' AND m.epoch < $3
RETURNING m.id, m.account_id, m.contact_id, m.lane, m.kind, m.state, m.reason, m.platform_id
"""


async def adopt(tx: Tx, account_id: UUID, epoch: int) -> list[DueRow]:
    """Messages an earlier owner left in flight, now ours to send again with the same key."""
    driver = await tx.driver()
    rows = await driver.fetch(_ADOPT, tx.tenant, account_id, epoch)
    return [_due_row(row, resend=True) for row in rows]


async def abandon(tx: Tx, account_id: UUID, epoch: int) -> list[asyncpg.Record]:
    """Messages an earlier owner left in flight where nothing de-duplicates: their outcome is unknown."""
    driver = await tx.driver()
    return await driver.fetch(_ABANDON, tx.tenant, account_id, epoch)


async def contents(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Campaign texts by id."""
    driver = await tx.driver()
    rows = await driver.fetch(
        "SELECT id, text FROM platforms.content WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
        tx.tenant,
        list(ids),
    )
    return {row["id"]: row["text"] for row in rows}
