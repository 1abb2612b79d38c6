"""A PostgreSQL of the simulation's own, whose clock is ours.

One cluster for each simulating process, not one database: the events' horizon (`pg_snapshot_xmin`) looks at the
transactions of all databases of a cluster, so two simulations in one would not replay exactly.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from carillon.storage.database import Database
from carillon.storage.postgres import RunningCluster, start_cluster
from tests.fixtures.database import Urls, fresh_database

SCHEMAS = "'identity', 'audience', 'platforms', 'events', 'queue', 'scheduling'"

# `now()` is when a transaction first asked, and stays so until it ends. The clock is a sequence since its value is
# seen by all at once, whatever snapshot they have; each reading moves it a microsecond on, as no two readings of a real
# clock are the same.
_CLOCK = """
CREATE SCHEMA sim;
CREATE SEQUENCE sim.clock;
CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN pg_catalog.to_timestamp(pg_catalog.nextval('sim.clock') / 1000000.0);
END $$;
CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    began text := pg_catalog.current_setting('sim.began', true);
BEGIN
    IF began IS NULL OR began = '' THEN
        began := pg_catalog.set_config('sim.began', sim.clock_timestamp()::text, true);
    END IF;
    RETURN began::timestamptz;
END $$;
GRANT USAGE ON SCHEMA sim TO PUBLIC;
GRANT USAGE ON sim.clock TO PUBLIC;

-- The ids that the database makes are the same in every replay.
CREATE SEQUENCE sim.ids;
GRANT USAGE ON sim.ids TO PUBLIC;
CREATE OR REPLACE FUNCTION storage.uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL UNSAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM sim.clock_timestamp()) * 1000)::bigint), 12, '0') || '7' ||
            lpad(to_hex(n % 4096), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid
    FROM nextval('sim.ids') AS n
$$;
"""

_DEFAULTS = f"""
SELECT format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT sim.now()', c.oid::regclass, a.attname)
FROM pg_attrdef d
JOIN pg_class c ON c.oid = d.adrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE n.nspname IN ({SCHEMAS}) AND pg_get_expr(d.adbin, d.adrelid) = 'now()'
"""

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "120",
    # A deadlock is found as soon as it is there, so that it costs no real time.
    "deadlock_timeout": "20ms",
    "jit": "off",
}


@contextmanager
def simulated_database() -> Iterator[Urls]:
    """A migrated database on a cluster of its own, in memory where that is possible; gone afterwards."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="sim-", dir=memory if memory.is_dir() else None) as folder:
        cluster = start_cluster(Path(folder) / "postgres")
        try:
            asyncio.run(_configure(cluster.superuser_url))
            cluster.stop("fast")
            cluster = start_cluster(Path(folder) / "postgres")
            with fresh_database(cluster.superuser_url) as urls:
                asyncio.run(_take_over_the_clock(urls))
                yield _over_socket(urls, cluster)
        finally:
            cluster.stop("immediate")


def _over_socket(urls: Urls, cluster: RunningCluster) -> Urls:
    """The same by way of the unix socket, which takes a third less time."""
    if cluster.socket_dir is None:
        return urls
    query = f"host={quote(str(cluster.socket_dir), safe='')}&port={cluster.port}"

    def over(url: str) -> str:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@", query=query))

    return Urls(over(urls.owner), over(urls.app), over(urls.worker))


async def _configure(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for name, value in _SETTINGS.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    finally:
        await connection.close()


async def _take_over_the_clock(urls: Urls) -> None:
    connection = await asyncpg.connect(urls.owner)
    try:
        await connection.execute(_CLOCK)
        for row in await connection.fetch(_DEFAULTS):
            await connection.execute(row[0])
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'ALTER DATABASE "{name}" SET search_path = sim, pg_catalog, public')
        # Inside those functions too, whose own search path says otherwise.
        for row in await connection.fetch(
            f"SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
            f"WHERE n.nspname IN ({SCHEMAS}) AND p.prosrc ~ '\\m(now|clock_timestamp)\\(' AND p.proconfig IS NOT NULL"
        ):
            await connection.execute(f"ALTER FUNCTION {row['name']} SET search_path = sim, pg_catalog, pg_temp")
    finally:
        await connection.close()
    await _check_clock(urls.worker)


async def _check_clock(url: str) -> None:
    """The product's statements must see our clock: else every history would be worthless without telling."""
    database = Database(url, pool_size=1)
    try:
        async with database.across_tenants() as tx:
            row = await tx.first("SELECT now() AS began, clock_timestamp() AS at")
        assert row is not None
        assert row["began"].year == row["at"].year == 1970, "the database's clock is not the simulation's"
    finally:
        await database.close()
