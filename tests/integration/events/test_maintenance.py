"""Partitions come and go without losing an event; cursors survive a restore into a new cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeAlias
from uuid import UUID

import asyncpg

from carillon.events import maintenance, outbox
from carillon.events.adapters.postgres import PostgresBus
from carillon.events.catalog.base import Event
from carillon.events.consumer import Consumer, Recorded
from carillon.kernel.ids import uuid7
from carillon.storage.database import Database, Tx
from carillon.storage.resources import Resources

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Event):
    type: ClassVar[str] = "maintenance.kept"
    number: int


async def _append(database: Database, tenant: UUID, *numbers: int) -> None:
    async with database.transaction(tenant) as tx:
        await outbox.append(tx, *(Kept(number=number) for number in numbers))


async def _append_at(owner: Owner, tenant: UUID, at: datetime, number: int) -> None:
    await owner.execute(
        "INSERT INTO events.event (tenant_id, type, payload, occurred_at) VALUES ($1, $2, $3, $4)",
        tenant,
        Kept.type,
        f'{{"number": {number}}}',
        at,
    )


async def _partition_of(owner: Owner, tenant: UUID) -> list[str]:
    rows = await owner.fetch(
        "SELECT tableoid::regclass::text AS name FROM events.event WHERE tenant_id = $1 ORDER BY position", tenant
    )
    return [row["name"] for row in rows]


def _consumer(name: str, tenant: UUID, seen: list[int]) -> Consumer:
    async def handle(_: Resources, __: Tx, events: Sequence[Recorded]) -> None:
        seen.extend(e.event.number for e in events if e.tenant_id == tenant and isinstance(e.event, Kept))

    return Consumer(name, (Kept,), handle)


async def test_events_land_in_this_weeks_partition(worker_database: Database, owner: Owner, tenant: UUID) -> None:
    await maintenance.create_partitions(worker_database)
    await _append(worker_database, tenant, 1)
    monday = datetime.now(UTC) - timedelta(days=datetime.now(UTC).weekday())
    assert await _partition_of(owner, tenant) == [f"events.event_p{monday:%Y%m%d}"]


async def test_rows_of_the_default_partition_move_into_their_own(
    worker_database: Database, owner: Owner, tenant: UUID
) -> None:
    await maintenance.create_partitions(worker_database, weeks=8)
    far = datetime.now(UTC) + timedelta(weeks=11)
    await _append_at(owner, tenant, far, 1)
    assert await _partition_of(owner, tenant) == ["events.event_p_default"]
    assert await maintenance.create_partitions(worker_database, weeks=12) > 0
    (name,) = await _partition_of(owner, tenant)
    assert name != "events.event_p_default"
    assert await maintenance.create_partitions(worker_database, weeks=12) == 0


async def test_an_old_partition_goes_only_when_every_cursor_has_passed_it(
    worker_database: Database, worker_resources: Resources, owner: Owner, tenant: UUID
) -> None:
    old = datetime.now(UTC) - timedelta(weeks=60)
    monday = (old - timedelta(days=old.weekday())).date()
    name = f"events.event_p{monday:%Y%m%d}"
    await owner.execute(
        f"CREATE TABLE {name} PARTITION OF events.event FOR VALUES FROM "
        f"('{monday} 00:00+00') TO ('{monday + timedelta(days=7)} 00:00+00')"
    )
    await _append_at(owner, tenant, old, 1)
    seen: list[int] = []
    bus = PostgresBus(worker_resources, [_consumer(f"test.{uuid7()}", tenant, seen)])
    await owner.execute("DELETE FROM events.cursor")
    await owner.execute("INSERT INTO events.cursor (consumer) VALUES ('test.slow')")
    assert await maintenance.drop_partitions(worker_database, days=365) == 0
    await maintenance.forget_consumer(worker_database, "test.slow")
    await bus.drain()
    assert seen == [1]
    assert await maintenance.drop_partitions(worker_database, days=365) == 1
    assert await owner.fetchval("SELECT to_regclass($1)", name) is None


async def test_after_a_restore_nothing_is_skipped_and_nothing_comes_twice(
    worker_database: Database, worker_resources: Resources, owner: Owner, tenant: UUID
) -> None:
    seen: list[int] = []
    consumer = _consumer(f"test.{uuid7()}", tenant, seen)
    bus = PostgresBus(worker_resources, [consumer])
    await _append(worker_database, tenant, 1, 2)
    await bus.drain()
    # Positions say 5, 3, 6, 4; the order of transactions is 3, 4, 5, 6.
    async with worker_database.transaction(tenant) as first, worker_database.transaction(tenant) as second:
        await first.scalar("SELECT pg_current_xact_id()")
        await outbox.append(second, Kept(number=5))
        await outbox.append(first, Kept(number=3))
        await outbox.append(second, Kept(number=6))
        await outbox.append(first, Kept(number=4))
    assert not await maintenance.needs_rebase(owner)
    # What a dump restored into a new cluster looks like: all stored ids lie in its future.
    for table in ("event", "cursor"):
        await owner.execute(f"UPDATE events.{table} SET xid = (xid::text::bigint + 1000000000)::text::xid8")
    await _append(worker_database, tenant, 7)
    await bus.drain(wait=False)
    assert seen == [1, 2]  # the trap: 7 lies before the cursor

    assert await maintenance.rebase_after_restore(owner)
    await _append(worker_database, tenant, 8)
    await PostgresBus(worker_resources, [consumer]).drain()
    # 7 was appended before the rebase, which is a mistake: it counts as older than everything restored.
    assert seen == [1, 2, 3, 4, 5, 6, 8]
    assert not await maintenance.rebase_after_restore(owner)
    forced = await owner.fetchval("SELECT relforcerowsecurity FROM pg_class WHERE oid = 'events.event'::regclass")
    assert forced
