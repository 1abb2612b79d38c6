"""The store's SQL: cursors, reading in commit order, dead letters, listings."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping

from carillon.kernel.ids import uuid7
from carillon.storage.database import Tx

from .consumer import Consumer
from .progress import Failure, StoredEvent

_COLUMNS = "e.id, e.tenant_id, e.type, e.payload, e.xid, e.position, e.occurred_at"

# A new consumer starts before everything, or at the oldest transaction that is still open.
_ENSURE = """
INSERT INTO events.cursor (consumer, xid, position)
SELECT name, CASE WHEN late THEN pg_snapshot_xmin(pg_current_snapshot()) ELSE '0'::xid8 END, 0
FROM unnest(CAST(:names AS text[]), CAST(:late AS boolean[])) AS n (name, late)
ON CONFLICT (consumer) DO NOTHING
"""

# ORDER BY … LIMIT 1 rather than EXISTS: it binds the planner to the index.
_PENDING = """
SELECT c.consumer, next.xid < pg_snapshot_xmin(pg_current_snapshot()) AS readable
FROM events.cursor c
CROSS JOIN LATERAL (
    SELECT e.xid FROM events.event e WHERE (e.xid, e.position) > (c.xid, c.position)
    ORDER BY e.xid, e.position LIMIT 1
) next
WHERE c.consumer = ANY(:names) AND coalesce(c.retry_at <= now(), true)
"""

_LOCK = """
SELECT xid, position, attempts, coalesce(retry_at > now(), false) AS waiting,
       pg_snapshot_xmin(pg_current_snapshot()) AS horizon
FROM events.cursor WHERE consumer = :consumer FOR UPDATE SKIP LOCKED
"""

_READ = f"""
SELECT {_COLUMNS} FROM events.event e
WHERE (e.xid, e.position) > ($1, $2) AND e.xid < $3 AND e.type = ANY($4)
ORDER BY e.xid, e.position LIMIT $5
"""  # noqa: S608 - a constant

_ADVANCE = """
UPDATE events.cursor
SET xid = $2, position = $3, attempts = 0, error = NULL, retry_at = NULL, updated_at = now()
WHERE consumer = $1
"""

_MARK = """
UPDATE events.cursor
SET attempts = attempts + :count, retry_at = now() + make_interval(secs => :lease), updated_at = now()
WHERE consumer = (
    SELECT consumer FROM events.cursor
    WHERE consumer = :consumer AND coalesce(retry_at <= now(), true) FOR UPDATE SKIP LOCKED
)
RETURNING attempts
"""

_NOTE = """
UPDATE events.cursor
SET attempts = :attempts, error = :error, retry_at = now() + make_interval(secs => :wait), updated_at = now()
WHERE consumer = :consumer
"""

_BURY = """
INSERT INTO events.dead_letter
    (tenant_id, id, consumer, event_id, type, payload, xid, position, occurred_at, error_class, error, attempts)
SELECT e.tenant_id, $1, $2, e.id, e.type, e.payload, e.xid, e.position, e.occurred_at, $3, $4, $5
FROM events.event e WHERE e.tenant_id = $6 AND e.position = $7 AND e.xid = $8
"""


async def ensure_cursors(tx: Tx, consumers: Sequence[Consumer]) -> None:
    """Create the cursors that are missing."""
    await tx.execute(_ENSURE, {"names": [c.name for c in consumers], "late": [c.start == "now" for c in consumers]})


async def list_pending(tx: Tx, names: Sequence[str]) -> dict[str, bool]:
    """Consumers that are not past the newest event, and whether they may read already."""
    return {row["consumer"]: row["readable"] for row in await tx.all(_PENDING, {"names": list(names)})}


async def lock_cursor(tx: Tx, consumer: str) -> RowMapping | None:
    """The cursor and the horizon of reading; None when it is locked elsewhere."""
    return await tx.first(_LOCK, {"consumer": consumer})


async def read_events(
    tx: Tx, after: tuple[int, int], horizon: int, types: Sequence[str], limit: int
) -> list[StoredEvent]:
    """Events of these types in commit order, after the cursor and below the horizon."""
    connection = await tx.driver()
    rows = await connection.fetch(_READ, *after, horizon, list(types), limit)
    return [to_stored(row) for row in rows]


async def advance(tx: Tx, consumer: str, to: tuple[int, int]) -> None:
    """Move the cursor; whatever was noted of failures is settled."""
    connection = await tx.driver()
    await connection.execute(_ADVANCE, consumer, *to)


async def mark_attempt(tx: Tx, consumer: str, *, count: int, lease: float) -> int | None:
    """Count an attempt and keep others away for `lease` seconds; None when the cursor is taken."""
    attempts = await tx.scalar(_MARK, {"consumer": consumer, "count": count, "lease": lease})
    return None if attempts is None else int(attempts)


async def note_failure(tx: Tx, consumer: str, failure: Failure, *, attempts: int, wait: float) -> None:
    """Keep the failure beside the cursor and wait."""
    error = f"{failure.error_class}: {failure.error}"
    await tx.execute(_NOTE, {"consumer": consumer, "attempts": attempts, "error": error, "wait": wait})


async def insert_dead_letter(tx: Tx, consumer: str, event: StoredEvent, failure: Failure, attempts: int) -> None:
    """Copy the event into the dead letters of the transaction's tenant."""
    connection = await tx.driver()
    place = (event.tenant_id, event.position, event.xid)
    await connection.execute(_BURY, uuid7(), consumer, failure.error_class, failure.error, attempts, *place)


async def list_events(
    tx: Tx,
    *,
    before: int | None,
    limit: int,
    kind: str | None,
    subject_id: UUID | None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[StoredEvent]:
    """The tenant's events, newest first."""
    conditions: list[str] = ["e.tenant_id = :tenant"]
    params: dict[str, Any] = {"tenant": tx.tenant, "limit": limit}
    for condition, name, value in (
        ("e.position < :before", "before", before),
        ("e.type = :kind", "kind", kind),
        ("e.subject_id = :subject_id", "subject_id", subject_id),
        ("e.occurred_at >= :since", "since", since),
        ("e.occurred_at <= :until", "until", until),
    ):
        if value is not None:
            conditions.append(condition)
            params[name] = value
    statement = f"""
        SELECT {_COLUMNS} FROM events.event e WHERE {" AND ".join(conditions)}
        ORDER BY e.position DESC LIMIT :limit
    """  # noqa: S608 - constants only
    return [to_stored(row) for row in await tx.all(statement, params)]


async def list_dead_letters(
    tx: Tx, *, before: UUID | None, limit: int, consumer: str | None, replayed: bool | None
) -> Sequence[RowMapping]:
    """The tenant's dead letters, newest first."""
    conditions: list[str] = ["tenant_id = :tenant"]
    params: dict[str, Any] = {"tenant": tx.tenant, "limit": limit}
    if before is not None:
        conditions.append("id < :before")
        params["before"] = before
    if consumer is not None:
        conditions.append("consumer = :consumer")
        params["consumer"] = consumer
    if replayed is not None:
        conditions.append(f"replayed_at IS {'NOT ' if replayed else ''}NULL")
    return await tx.all(
        f"SELECT * FROM events.dead_letter WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT :limit",  # noqa: S608 - constants only
        params,
    )


async def lock_dead_letter(tx: Tx, dead_letter_id: UUID) -> RowMapping | None:
    """The tenant's dead letter, locked for a replay."""
    return await tx.first(
        "SELECT * FROM events.dead_letter WHERE tenant_id = :tenant AND id = :id FOR UPDATE",
        {"tenant": tx.tenant, "id": dead_letter_id},
    )


async def mark_replayed(tx: Tx, dead_letter_id: UUID) -> None:
    """The replay went through."""
    await tx.execute(
        "UPDATE events.dead_letter SET replayed_at = now() WHERE tenant_id = :tenant AND id = :id",
        {"tenant": tx.tenant, "id": dead_letter_id},
    )


def to_stored(row: Any) -> StoredEvent:
    """A row of `_COLUMNS` as a stored event."""
    event_id, tenant_id, kind, payload, xid, position, occurred_at = row.values()
    # Without a typed column the driver hands jsonb over as text.
    return StoredEvent(event_id, tenant_id, kind, parse_payload(payload), xid, position, occurred_at)


def parse_payload(value: Any) -> Any:
    """A payload column's value."""
    return orjson.loads(value) if isinstance(value, str | bytes) else value
