"""Work on a timetable: a table of due times; each tick becomes a queued job, so it runs once, somewhere.

Several workers tick; whoever locks a due row first enqueues its job and moves the time on, in one transaction.
While a run is queued or running, further ticks are passed over. Ticks missed while nobody ran are made up by one.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import structlog
from croniter import croniter

from carillon.storage.database import Database, Tx
from carillon.storage.errors import DatabaseUnreachable

from .declaration import Timed
from .queue import insert

_log = structlog.get_logger(__name__)
_LONGEST_SLEEP = 30.0
_SHORTEST_SLEEP = 0.05
_LOST_WAIT = 1.0

_SYNC = """
INSERT INTO queue.timed (name, cron, next_run) VALUES (:name, :cron, :next_run)
ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, next_run = excluded.next_run
WHERE timed.cron <> excluded.cron
"""
_DUE = """
SELECT name, clock_timestamp() AS now FROM queue.timed
WHERE name = ANY(:names) AND next_run <= clock_timestamp() ORDER BY next_run FOR UPDATE SKIP LOCKED
"""
_MOVE = "UPDATE queue.timed SET last_run = :now, next_run = :next_run WHERE name = :name"
_NEXT = """
SELECT extract(epoch FROM min(next_run) - clock_timestamp())::float8 FROM queue.timed WHERE name = ANY(:names)
"""


def queue_name(timed: str) -> str:
    """What the work is called in the queue."""
    return f"timed.{timed}"


class Timetable:
    """Turns due times into queued jobs."""

    def __init__(self, database: Database, timed: Sequence[Timed]) -> None:
        """Tick for this work; needs the workers' role."""
        self._database = database
        self._timed = {entry.name: entry for entry in timed}

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until stopped."""
        ready = False
        while not stop.is_set():
            try:
                if not ready:
                    await self.sync()
                    ready = True
                wait = await self.tick()
            except DatabaseUnreachable as error:
                _log.warning("timetable waits for the database", error=str(error))
                wait = _LOST_WAIT
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)

    async def sync(self) -> None:
        """Enter new work and changed times; work that is no longer declared stays silent."""
        async with self._database.across_tenants() as tx:
            now = await tx.scalar("SELECT now()")
            for entry in self._timed.values():
                row = {"name": entry.name, "cron": entry.cron, "next_run": next_time(entry.cron, now)}
                await tx.execute(_SYNC, row)

    async def tick(self) -> float:
        """Queue what is due; returns the seconds until something will be, half a minute at most."""
        async with self._database.across_tenants() as tx:
            for row in await tx.all(_DUE, {"names": list(self._timed)}):
                await self._queue(tx, row["name"], row["now"])
            wait = await tx.scalar(_NEXT, {"names": list(self._timed)})
        return min(max(wait if wait is not None else _LONGEST_SLEEP, _SHORTEST_SLEEP), _LONGEST_SLEEP)

    async def _queue(self, tx: Tx, name: str, now: datetime) -> None:
        job = queue_name(name)
        if await insert(tx, job, None, {}, dedupe_key=job) is None:
            _log.info("still running, tick passed over", timed=name)
        await tx.execute(_MOVE, {"name": name, "now": now, "next_run": next_time(self._timed[name].cron, now)})


def next_time(cron: str, after: datetime) -> datetime:
    """The first time of the cron expression after this one; five fields, or six with seconds last."""
    found: datetime = croniter(cron, after).get_next(datetime)
    return found
