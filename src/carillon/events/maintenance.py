"""Keeping the store in order: partitions ahead of time, old ones away, and cursors right after a restore."""

import asyncpg
import structlog

from carillon.storage.database import Database
from carillon.storage.jobs import Timed
from carillon.storage.resources import Resources

_log = structlog.get_logger(__name__)

WEEKS_AHEAD = 8
RETENTION_DAYS = 365

# The lowest transaction id that PostgreSQL gives to anybody (FirstNormalTransactionId): below every future one.
_OLDEST_XID = "3"

_NEEDS_REBASE = """
SELECT coalesce((SELECT xid FROM events.event ORDER BY xid DESC, position DESC LIMIT 1)
                >= pg_snapshot_xmax(pg_current_snapshot()), false)
    OR coalesce((SELECT xid FROM events.cursor ORDER BY xid DESC LIMIT 1)
                > pg_snapshot_xmax(pg_current_snapshot()), false)
"""

# New positions lie above all old ones, so that none collides on the way.
_BASE = """
SELECT greatest((SELECT coalesce(max(position), 0) FROM events.event),
                (SELECT last_value FROM events.event_position))
"""

_MOVE_CURSORS = f"""
UPDATE events.cursor c SET xid = '{_OLDEST_XID}', updated_at = now(), position = $1::bigint
    + (SELECT count(*) FROM events.event e WHERE (e.xid, e.position) <= (c.xid, c.position))
"""  # noqa: S608 - a constant

_RENUMBER = f"""
UPDATE events.event e SET xid = '{_OLDEST_XID}', position = $1::bigint + ranked.number
FROM (SELECT tenant_id, position, occurred_at, row_number() OVER (ORDER BY xid, position) AS number
      FROM events.event) ranked
WHERE (e.tenant_id, e.position, e.occurred_at) = (ranked.tenant_id, ranked.position, ranked.occurred_at)
"""  # noqa: S608 - a constant


async def tend_partitions(resources: Resources) -> None:
    """Create the partitions of the coming weeks; drop those older than a year that every consumer has passed."""
    await create_partitions(resources.database)
    dropped = await drop_partitions(resources.database, days=RETENTION_DAYS)
    if dropped:
        _log.info("old events dropped", partitions=dropped)


async def create_partitions(database: Database, *, weeks: int = WEEKS_AHEAD) -> int:
    """Make sure of this week's and the next weeks' partitions; returns how many were new (workers only)."""
    async with database.across_tenants() as tx:
        return int(await tx.scalar("SELECT events.create_partitions(:weeks)", {"weeks": weeks}))


async def drop_partitions(database: Database, *, days: int) -> int:
    """Drop whole partitions that ended `days` ago and lie behind every cursor (workers only)."""
    async with database.across_tenants() as tx:
        return int(await tx.scalar("SELECT events.drop_partitions(:days)", {"days": days}))


async def forget_consumer(database: Database, name: str) -> None:
    """Remove the cursor of a consumer that no longer exists: it would keep old partitions for ever."""
    async with database.across_tenants() as tx:
        await tx.execute("DELETE FROM events.cursor WHERE consumer = :name", {"name": name})


async def needs_rebase(owner_connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Whether stored transaction ids lie in this cluster's future: a dump was restored into it."""
    return bool(await owner_connection.fetchval(_NEEDS_REBASE))


async def rebase_after_restore(owner_connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Make cursors right again after a dump was restored into a new cluster, before anything runs on it.

    A new cluster counts transactions from the start, so its new events would lie *before* the restored cursors
    and never be read. Here all stored events become the work of one oldest transaction, renumbered in commit
    order, and each cursor moves to the same place among them: what was handled stays handled, what was not is
    still to come. Safe to run twice.

    Returns:
        Whether anything had to be done.
    """
    async with owner_connection.transaction():
        await owner_connection.execute("LOCK TABLE events.event, events.cursor IN ACCESS EXCLUSIVE MODE")
        if not await needs_rebase(owner_connection):
            return False
        # An owner who is no superuser sees nothing through forced row-level security.
        await owner_connection.execute("ALTER TABLE events.event NO FORCE ROW LEVEL SECURITY")
        base = await owner_connection.fetchval(_BASE)
        await owner_connection.execute(_MOVE_CURSORS, base)
        await owner_connection.execute(_RENUMBER, base)
        await owner_connection.execute(
            "SELECT setval('events.event_position', greatest($1::bigint, max(position))) FROM events.event", base
        )
        await owner_connection.execute("ALTER TABLE events.event FORCE ROW LEVEL SECURITY")
    _log.info("event cursors rebased after a restore")
    return True


TIMED = (Timed("events.tend_partitions", "17 3 * * *", tend_partitions),)
