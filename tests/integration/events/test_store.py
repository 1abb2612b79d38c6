"""What only PostgreSQL can show: roles, broken rows, lost connections."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast
from uuid import UUID

import asyncpg
import pytest

from carillon.events import history, outbox
from carillon.events.adapters.postgres import PostgresBus
from carillon.events.catalog.base import Event, UnknownEvent
from carillon.events.consumer import Consumer, Recorded
from carillon.events.port import Retries
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.storage.database import Database, Tx
from carillon.storage.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Event):
    type: ClassVar[str] = "store_test.noted"
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cracked(Event):
    """Of its own type: all tests' consumers read one store."""

    type: ClassVar[str] = "store_test.cracked"
    number: int


def _consumer(tenant: UUID, seen: list[int]) -> Consumer:
    async def handle(_: Resources, __: Tx, events: Sequence[Recorded]) -> None:
        seen.extend(e.event.number for e in events if e.tenant_id == tenant and isinstance(e.event, Noted))

    return Consumer(f"test.{uuid7()}", (Noted,), handle)


async def test_many_events_keep_their_order(app_database: Database, tenant: UUID) -> None:
    async with app_database.transaction(tenant) as tx:
        await outbox.append(tx, *(Noted(number=number) for number in range(500)))
        await outbox.append(tx)
        page = await history.list_events(tx, PageRequest(limit=200))
    assert [cast(Noted, item.event).number for item in page.items] == list(range(499, 299, -1))


async def test_events_may_be_appended_by_a_statement_of_one_s_own(
    app_database: Database, worker_resources: Resources, tenant: UUID
) -> None:
    seen: list[int] = []
    async with app_database.transaction(tenant) as tx:
        await tx.execute(
            "INSERT INTO events.event (tenant_id, type, payload) "
            "SELECT storage.current_tenant(), 'store_test.noted', jsonb_build_object('number', n) "
            "FROM generate_series(1, 5) n ORDER BY n"
        )
        await outbox.notify(tx)
    await PostgresBus(worker_resources, [_consumer(tenant, seen)]).drain()
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events.event SET type = 'x'",
        "DELETE FROM events.event",
        "SELECT * FROM events.cursor",
        "SELECT * FROM events.event_p_default",
        "SELECT events.drop_partitions(1)",
        "SELECT * FROM queue.pgqueuer",
        "DELETE FROM queue.pgqueuer",
        "INSERT INTO events.event (tenant_id, type, payload) VALUES (gen_random_uuid(), 'x', '{}')",
    ],
)
async def test_what_the_api_s_role_may_not(app_database: Database, tenant: UUID, statement: str) -> None:
    with pytest.raises(Exception, match=r"permission denied|row-level security"):
        async with app_database.transaction(tenant) as tx:
            await tx.execute(statement)


async def test_the_worker_may_not_rewrite_history(worker_database: Database) -> None:
    with pytest.raises(Exception, match="permission denied"):
        async with worker_database.across_tenants() as tx:
            await tx.execute("UPDATE events.event SET type = 'x'")


async def test_listings_show_what_cannot_be_read_any_more(app_database: Database, tenant: UUID) -> None:
    async with app_database.transaction(tenant) as tx:
        await tx.execute(
            "INSERT INTO events.event (tenant_id, type, payload) VALUES "
            "(storage.current_tenant(), 'store_test.forgotten', '{\"a\": 1}'), "
            "(storage.current_tenant(), 'store_test.cracked', '{\"number\": \"x\"}')"
        )
        page = await history.list_events(tx, PageRequest())
    assert [(type(item.event), item.event.dump()) for item in page.items] == [
        (UnknownEvent, {"number": "x"}),
        (UnknownEvent, {"a": 1}),
    ]


async def test_a_broken_payload_becomes_a_dead_letter(
    app_database: Database, worker_resources: Resources, tenant: UUID
) -> None:
    seen: list[int] = []

    async def handle(_: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
        seen.extend(cast(Cracked, e.event).number for e in events if tx.tenant_id == tenant)

    async with app_database.transaction(tenant) as tx:
        await tx.execute(
            "INSERT INTO events.event (tenant_id, type, payload) VALUES "
            "(storage.current_tenant(), 'store_test.cracked', '{\"number\": \"x\"}')"
        )
        await outbox.append(tx, Cracked(number=2))
    consumer = Consumer(f"test.{uuid7()}", (Cracked,), handle)
    await PostgresBus(worker_resources, [consumer], retries=Retries(first=0.0)).drain()
    async with app_database.transaction(tenant) as tx:
        (letter,) = (await history.list_dead_letters(tx, PageRequest())).items
    assert (letter.error_class, letter.payload, seen) == ("BrokenEvent", {"number": "x"}, [2])


async def test_reading_uses_the_index_under_row_level_security(worker_database: Database) -> None:
    async with worker_database.across_tenants() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        plan = await tx.all(
            "EXPLAIN SELECT * FROM events.event WHERE (xid, position) > ('5'::xid8, 7) "
            "AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, position LIMIT 10"
        )
    text = "\n".join(str(row["QUERY PLAN"]) for row in plan)
    assert "Index Cond: ((ROW(xid" in text.replace("ROW(event_1.xid", "ROW(xid").replace("event_p", "")
    assert "Sort" not in text.replace("Sort Key", "")


async def test_consumers_go_on_after_every_connection_was_dropped(
    worker_resources: Resources, owner: "asyncpg.Connection[asyncpg.Record]", tenant: UUID
) -> None:
    seen: list[int] = []
    stop = asyncio.Event()
    database = worker_resources.database
    running = asyncio.create_task(PostgresBus(worker_resources, [_consumer(tenant, seen)], poll=0.05).run(stop))

    async def append(number: int) -> None:
        async with database.transaction(tenant) as tx:
            await outbox.append(tx, Noted(number=number))

    await append(1)
    await _until(lambda: seen == [1])
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'carillon%'"
    )
    fresh = Database(database.url, pool_size=1)
    async with fresh.transaction(tenant) as tx:
        await outbox.append(tx, Noted(number=2))
    await fresh.close()
    await _until(lambda: seen == [1, 2])
    stop.set()
    await running


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nobody tells when
        await asyncio.sleep(0.01)
