"""Statuses of a platform, merged so that the order and number in which they come do not matter.

A message only ever moves up: accepted, delivered, read. `failed` counts until something better is known, and any
status is proof that the platform has the message, whatever we believed (`unknown`, `queued` after a restore).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.port import Status, StatusUpdate
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .ledger import announce

RANK = {Status.SENT: 2, Status.FAILED: 3, Status.DELIVERED: 4, Status.READ: 5}
"""Above `queued`, `sending`, `unknown` and the like (1); a higher rank wins."""

Report = tuple[UUID, StatusUpdate]
"""What a platform says of one message, with the account it says it to."""


@dataclass(frozen=True, slots=True)
class Merged:
    """All statuses of one message in a batch, folded into one."""

    status: Status
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    reason: str | None = None
    reason_text: str | None = None
    platform_id: str | None = None


def fold(merged: Merged | None, update: StatusUpdate) -> Merged:
    """Take one more status in; the result does not depend on the order (but for equal ones, the earliest time)."""
    if merged is None:
        merged = Merged(update.status)
    if RANK[update.status] > RANK[merged.status]:
        merged = replace(merged, status=update.status)
    if update.status is Status.FAILED:
        return replace(
            merged,
            reason=update.error_class or merged.reason,
            reason_text=update.error_text or update.error_code or merged.reason_text,
            platform_id=merged.platform_id or update.platform_id,
        )
    field = {Status.SENT: "sent_at", Status.DELIVERED: "delivered_at", Status.READ: "read_at"}[update.status]
    before: datetime | None = getattr(merged, field)
    earliest = update.at if before is None else min(before, update.at)
    changes: dict[str, Any] = {field: earliest, "platform_id": merged.platform_id or update.platform_id}
    return replace(merged, **changes)


# A platform that gives one id to two messages would have us say of one what happened to the other: neither is told.
_FIND = """
SELECT m.account_id, m.platform_id, (array_agg(m.id))[1] AS id
FROM unnest($2::uuid[], $3::text[]) AS n (account_id, platform_id)
JOIN platforms.message m ON m.account_id = n.account_id AND m.platform_id = n.platform_id
WHERE m.tenant_id = $1
GROUP BY m.account_id, m.platform_id HAVING count(*) = 1
"""

_APPLY = """
WITH news AS (
    SELECT * FROM unnest($2::uuid[], $3::text[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
        $8::text[], $9::text[], $10::text[], $11::uuid[])
        AS n (id, state, rank, sent_at, delivered_at, read_at, reason, reason_text, platform_id, account_id)
), known AS (
    SELECT m.id, m.state AS before,
        CASE m.state WHEN 'sent' THEN 2 WHEN 'failed' THEN 3 WHEN 'delivered' THEN 4 WHEN 'read' THEN 5 ELSE 1 END
            AS rank
    FROM platforms.message m JOIN news ON news.id = m.id AND news.account_id = m.account_id
    WHERE m.tenant_id = $1
    ORDER BY m.id
    FOR UPDATE OF m
)
UPDATE platforms.message m SET
    state = CASE WHEN n.rank > k.rank THEN n.state ELSE m.state END,
    reason = CASE WHEN n.rank > k.rank THEN n.reason ELSE m.reason END,
    reason_text = CASE WHEN n.rank > k.rank THEN n.reason_text ELSE m.reason_text END,
    sent_at = least(m.sent_at, n.sent_at),
    delivered_at = least(m.delivered_at, n.delivered_at),
    read_at = least(m.read_at, n.read_at),
    platform_id = coalesce(m.platform_id, n.platform_id)
FROM news n JOIN known k ON k.id = n.id
WHERE m.tenant_id = $1 AND m.id = n.id AND m.account_id = n.account_id
RETURNING m.id, m.account_id, m.contact_id, m.lane, m.kind, m.state, m.reason, m.platform_id,
    k.before, m.state <> k.before AS moved
"""


async def merge(tx: Tx, reports: Sequence[Report]) -> None:
    """Fold statuses into the ledger, with events for the messages that moved; a handful of statements for all.

    A status that names only a platform id we do not know yet is kept and merged when the message is settled. One
    that names a message of another account than its own changes nothing.
    """
    known = await _by_platform_id(tx, [(account_id, u.platform_id) for account_id, u in reports if not u.message_id])
    folded: dict[tuple[UUID, UUID], Merged] = {}
    early: list[Report] = []
    for account_id, update in reports:
        message_id = update.message_id or known.get((account_id, update.platform_id or ""))
        if message_id is None:
            early.append((account_id, update))
        else:
            place = (account_id, message_id)
            folded[place] = fold(folded.get(place), update)
    if early:
        await _keep(tx, early)
    if folded:
        await _apply(tx, folded)


_TAKE_EARLY = """
DELETE FROM platforms.early_status e USING unnest($2::uuid[], $3::text[]) AS known (account_id, platform_id)
WHERE e.tenant_id = $1 AND e.account_id = known.account_id AND e.platform_id = known.platform_id
RETURNING e.account_id, e.platform_id, e.status, e.reason, e.reason_text, e.at
"""


async def merge_early(tx: Tx, settled: Mapping[tuple[UUID, str], UUID]) -> None:
    """After settling: merge the statuses that came before we knew the platform's ids.

    Args:
        tx: Inside the tenant.
        settled: Message ids by `(account, platform's id)`.
    """
    if not settled:
        return
    driver = await tx.driver()
    accounts, platform_ids = zip(*settled, strict=True)
    rows = await driver.fetch(_TAKE_EARLY, tx.tenant, accounts, platform_ids)
    if rows:
        named = ((row, (row["account_id"], row["platform_id"])) for row in rows)
        await merge(tx, [(place[0], _update(row, settled[place])) for row, place in named])


_LATE = """
SELECT DISTINCT e.tenant_id, e.account_id FROM platforms.early_status e
WHERE EXISTS (SELECT FROM platforms.message m WHERE m.account_id = e.account_id AND m.platform_id = e.platform_id)
"""

_KNOWN = """
SELECT m.id, m.account_id, m.platform_id FROM platforms.message m
WHERE m.tenant_id = :tenant AND m.account_id = :account AND m.platform_id IN (
    SELECT platform_id FROM platforms.early_status WHERE tenant_id = :tenant AND account_id = :account)
"""


async def merge_late(resources: Resources) -> None:
    """Merge the early statuses of messages that are settled by now: the clock's work.

    A status and the settlement of its message may be written at the same moment by two transactions, of which
    neither sees the other's: then nobody else comes back to it.
    """
    async with resources.database.across_tenants() as tx:
        late = await tx.all(_LATE)
    for row in late:
        async with resources.database.transaction(row["tenant_id"]) as tx:
            known = await tx.all(_KNOWN, {"tenant": tx.tenant, "account": row["account_id"]})
            await merge_early(tx, {(one["account_id"], one["platform_id"]): one["id"] for one in known})


def _update(row: asyncpg.Record, message_id: UUID) -> StatusUpdate:
    return StatusUpdate(
        status=Status(row["status"]),
        at=row["at"],
        message_id=message_id,
        platform_id=row["platform_id"],
        error_class=row["reason"],
        error_text=row["reason_text"],
    )


async def _by_platform_id(tx: Tx, named: Sequence[tuple[UUID, str | None]]) -> dict[tuple[UUID, str], UUID]:
    wanted = {(account_id, platform_id) for account_id, platform_id in named if platform_id}
    if not wanted:
        return {}
    driver = await tx.driver()
    rows = await driver.fetch(_FIND, tx.tenant, [one[0] for one in wanted], [one[1] for one in wanted])
    return {(row["account_id"], row["platform_id"]): row["id"] for row in rows}


async def _keep(tx: Tx, reports: Sequence[Report]) -> None:
    driver = await tx.driver()
    await driver.executemany(
        "INSERT INTO platforms.early_status (tenant_id, id, account_id, platform_id, status, reason, reason_text, at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (tx.tenant, uuid7(), account_id, u.platform_id, u.status.value, u.error_class, u.error_text, u.at)
            for account_id, u in reports
            if u.platform_id
        ],
    )


async def _apply(tx: Tx, folded: Mapping[tuple[UUID, UUID], Merged]) -> None:
    driver = await tx.driver()
    news = list(folded.values())
    rows = await driver.fetch(
        _APPLY,
        tx.tenant,
        [message_id for _, message_id in folded],
        [m.status.value for m in news],
        [RANK[m.status] for m in news],
        [m.sent_at for m in news],
        [m.delivered_at for m in news],
        [m.read_at for m in news],
        # A failure that something better came after in the same batch explains nothing any more.
        [m.reason if m.status is Status.FAILED else None for m in news],
        [m.reason_text if m.status is Status.FAILED else None for m in news],
        [m.platform_id for m in news],
        [account_id for account_id, _ in folded],
    )
    await announce(tx, [row for row in rows if row["moved"]])
