"""Reads what a tenant's store has gained, in commit order, without missing a late commit."""

from dataclasses import dataclass
from typing import Any

from carillon.storage.database import Database, Tx

_HORIZON = """
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint AS xid
"""
# Transactions below the oldest that still runs have all ended, so nothing can appear there any more: reading only
# those, in their order, misses nothing. `event_position` orders the events within one transaction.
_READ = """
SELECT (xid::text)::bigint AS xid, position, id, type, subject_id, payload, occurred_at
FROM events.event
WHERE tenant_id = :tenant AND occurred_at > now() - interval '1 hour'
  AND (xid, position) > (CAST(:xid AS text)::xid8, CAST(:position AS bigint))
  AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, position
LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader stands: after this event."""

    xid: int
    position: int


async def here(tx: Tx) -> Place:
    """The place before anything that is not yet decided."""
    return Place(int(await tx.scalar(_HORIZON)) - 1, 2**62)


class Tail:
    """The reader of one tenant, under the API's own role: row-level security keeps it in its tenant."""

    def __init__(self, database: Database, *, batch: int = 500) -> None:
        """Create a reader over this pool."""
        self._database = database
        self._batch = batch

    async def start(self, tenant_id: Any) -> Place:
        """The place from which on a new topic reads."""
        async with self._database.transaction(tenant_id) as tx:
            return await here(tx)

    async def read(self, tenant_id: Any, after: Place) -> tuple[list[dict[str, Any]], Place]:
        """The next events, at most a batch, and where the reader stands then."""
        async with self._database.transaction(tenant_id) as tx:
            params = {"tenant": tenant_id, "xid": str(after.xid), "position": after.position, "limit": self._batch}
            rows = [dict(row) for row in await tx.all(_READ, params)]
        return rows, Place(rows[-1]["xid"], rows[-1]["position"]) if rows else after
