"""How fast planned messages leave: lease check, consent check under lock, write, settle and event, all durable.

The platform is a ledger in this process that accepts at once, or an HTTP sink in another one that gets a signed POST
for each message. The clock runs from the opening of the campaign's gate until the last message is `sent` in the
database; consumers of the events do not run beside it.

Floor: what the same rows cost without a product: COPY, then two updates in batches of the same size, each its own
commit, by plain asyncpg on one connection.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from carillon.audience.contacts.models import contact
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.accounts.models import account
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.port import (
    Accepted,
    AccountConfig,
    Capabilities,
    Connector,
    Limits,
    Outbound,
    Rate,
    UpdateSink,
)
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Plan, PoolAccount, Schedule, Variant
from carillon.platforms.delivery.dispatcher import BATCH
from carillon.platforms.delivery.worker import DeliveryWorker

from .measuring import Bench, CpuSplit, Stage, cpu_split, forget_peak, option, peak_rss_mb, result, stage, timed
from .sinking import Sink, sinking

_PEOPLE = """
INSERT INTO audience.contact (tenant_id, id, name, time_zone, fields, peers, consents)
SELECT $1, storage.uuid7(), 'Person ' || i, 'Europe/Berlin', '{}', jsonb_build_object($3::text, i::text),
    '{"marketing": {"*": {"status": "granted", "until": null}}}'
FROM generate_series(1, $2::int) AS i
"""
# Nobody sleeps and nothing is capped: the figure must not depend on the hour.
_POLICY = """
INSERT INTO audience.policy (tenant_id, quiet_start, quiet_end, frequency_max, frequency_days, time_zone)
VALUES ($1, '00:00', '00:00', NULL, 7, 'UTC')
"""
_NOT_ONLINE = "SELECT EXISTS (SELECT FROM platforms.account WHERE state <> 'online')"
_OPEN = "SELECT EXISTS (SELECT FROM platforms.message WHERE phase = 0)"
_FLOOR = "CREATE TABLE bench.floor (id uuid PRIMARY KEY, peer text, body text, state text, due_at timestamptz)"
_FLOOR_UPDATE = "UPDATE bench.floor SET state = $2 WHERE id = ANY($1::uuid[])"
_PATIENCE = 1_800.0
_LOOK_EVERY = 0.02
_RATE = 10_000
"""Messages a second and account that the HTTP channel is allowed: more than it reaches."""


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    messages: int = option(50_000, "messages of the campaign")
    accounts: int = option(40, "accounts, all in one process")
    runs: int = option(5, "campaigns sent one after the other; the median counts")
    connector: str = option("ledger", "where messages go", choices=("ledger", "http"))
    sink: str = option("", "address of a sink that runs already; with `http`, one is started when left out")


@dataclass(slots=True)
class Ledger:
    """A platform that takes everything at once and counts; as connector and as the session of each account."""

    name: str = "bench_ledger"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(deduplicates=True))
    keys: set[int] = field(default_factory=set)
    accepted: int = 0

    def limits(self, account: AccountConfig) -> Limits:
        """None that would be felt."""
        del account
        return Limits(account=Rate(1_000_000, 1.0, 1_000_000))

    async def open(self, account: AccountConfig, sink: UpdateSink) -> "Ledger":
        """See `Connector.open`."""
        del account, sink
        return self

    async def send(self, message: Outbound) -> Accepted:
        """See `Session.send`."""
        self.accepted += 1
        self.keys.add(message.key)
        return Accepted(str(message.id), datetime.now(UTC))

    async def close(self) -> None:
        """See `Session.close`."""

    async def took(self) -> tuple[int, int]:
        """How many it accepted, and how many of them twice."""
        return self.accepted, self.accepted - len(self.keys)


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the messages of a bench go.

    Attributes:
        connector: Of the accounts.
        network: What people are reached on.
        took: How many messages the other side has accepted, and how many of them twice.
        url: Where accounts post to; empty for the ledger.
        apart: Processes of the other side that are our children.
    """

    connector: Connector
    network: str
    took: Callable[[], Awaitable[tuple[int, int]]]
    url: str = ""
    apart: tuple[int, ...] = ()


async def run(options: Options) -> dict[str, Any]:
    """Measure so many campaigns, each beside its floor."""
    ours: list[float] = []
    bare: list[float] = []
    split = CpuSplit()
    async with stage() as on, _platform(options) as platform:
        await _people(on, platform, options)
        forget_peak()
        for _ in range(options.runs):
            await on.owner.execute("TRUNCATE platforms.message, events.event")
            before = await platform.took()
            bare.append(await _floor(on, options.messages))
            campaign_id = await _planned(on, platform)
            with cpu_split(on.postmaster, leaving_out=platform.apart) as cpu:
                ours.append(await _send(on, platform, campaign_id, until=before[0] + options.messages))
            split.client_seconds += cpu.client_seconds
            split.postgresql_seconds += cpu.postgresql_seconds
            await _check(on, platform, before, options.messages)
        more = {"connector": options.connector, "accounts": options.accounts}
        more["cpu_ms_per_thousand"] = split.per_thousand(options.messages * options.runs)
        return result("dispatch", options.messages, ours, bare, peak_rss_mb(), **more)


@asynccontextmanager
async def _platform(options: Options) -> AsyncIterator[Platform]:
    if options.connector == "ledger":
        ledger = Ledger()
        yield Platform(ledger, "telegram", ledger.took)
        return
    async with AsyncExitStack() as stack:
        sink = Sink(options.sink) if options.sink else await stack.enter_async_context(sinking())

        async def took() -> tuple[int, int]:
            told = await sink.ledger()
            return told["accepted"], told["duplicated"]

        connector = CustomHttpConnector(NetGuard(("127.0.0.0/8",)))
        yield Platform(connector, "custom", took, sink.url, (sink.pid,) if sink.pid else ())


async def _check(on: Stage, platform: Platform, before: tuple[int, int], count: int) -> None:
    states = await on.owner.fetch("SELECT state, count(*) AS n FROM platforms.message GROUP BY 1")
    found = {row["state"]: row["n"] for row in states}
    assert found == {"sent": count}, found
    accepted, twice = await platform.took()
    assert accepted - before[0] == count, "the other side has another number of messages"
    assert twice == before[1], "a message was accepted twice"


async def _floor(on: Stage, count: int) -> float:
    await on.owner.execute("DROP TABLE IF EXISTS bench.floor")
    await on.owner.execute(_FLOOR)
    now = datetime.now(UTC)
    rows = [(uuid7(), str(number), "Hello", "queued", now) for number in range(count)]
    ids = [row[0] for row in rows]

    async def bare() -> None:
        await on.owner.copy_records_to_table("floor", schema_name="bench", records=rows)
        for state in ("sending", "sent"):
            for start in range(0, count, BATCH):
                await on.owner.execute(_FLOOR_UPDATE, ids[start : start + BATCH], state)

    return await timed(bare())


async def _people(on: Stage, platform: Platform, options: Options) -> None:
    await on.owner.execute(_PEOPLE, on.tenant_id, options.messages, platform.network)
    await on.owner.execute(_POLICY, on.tenant_id)
    await on.owner.execute("VACUUM (ANALYZE) audience.contact")
    async with on.resources.database.transaction(on.tenant_id) as tx:
        if not platform.url:
            common = {"tenant_id": on.tenant_id, "connector": platform.connector.name, "platform": platform.network}
            ids = [uuid7() for _ in range(options.accounts)]
            rows = [{**common, "state": "new", "id": one, "name": f"Account {one}", "address": str(one)} for one in ids]
            await tx.execute(insert(account), rows)
            return
        for number in range(options.accounts):
            name = f"account {number}"
            settings = {"url": platform.url, "rate_per_second": _RATE}
            new = accounts.NewAccount(platform.connector.name, name, name, settings=settings, secret=b"bench")
            await accounts.create(tx, on.resources.vault, system_subject(on.tenant_id), new)


async def _planned(on: Stage, platform: Platform) -> UUID:
    now = datetime.now(UTC)
    pool = await on.owner.fetch("SELECT id FROM platforms.account ORDER BY id")
    plan = Plan(
        campaign_id=uuid7(),
        members=select(contact).where(contact.c.tenant_id == on.tenant_id),
        platforms=[platform.network],
        accounts=[PoolAccount(row["id"], platform.network) for row in pool],
        variants=[Variant("A", 1, {"": "Hello {{ name }}"})],
        schedule=Schedule(at=now - timedelta(seconds=1)),
        now=now,
    )
    database = on.resources.database
    async with database.transaction(on.tenant_id) as tx:
        await delivery.write_contents(tx, plan)
    after, done = None, False
    while not done:
        async with database.transaction(on.tenant_id) as tx:
            step = await delivery.plan_slice(tx, plan, after)
        after, done = step.after, step.done
    await on.owner.execute("ANALYZE platforms.message")
    return plan.campaign_id


async def _send(on: Stage, platform: Platform, campaign_id: UUID, *, until: int) -> float:
    """Seconds from the opening of the gate to the last settled message, when the platform has taken so many in all.

    The accounts are open before.
    """
    stop = asyncio.Event()
    connectors: Mapping[str, Connector] = {platform.connector.name: platform.connector}
    worker = DeliveryWorker(on.resources, connectors, name="bench")
    running = asyncio.create_task(worker.run(stop))
    try:
        async with asyncio.timeout(_PATIENCE):
            await _until_none(on, _NOT_ONLINE)
            began = time.perf_counter()
            async with on.resources.database.transaction(on.tenant_id) as tx:
                await delivery.open_lane(tx, campaign_id)
            # The query reads past all that was open: asked all the time it would be a good part of the work.
            while (await platform.took())[0] < until:  # noqa: ASYNC110 - the other side may be a process
                await asyncio.sleep(_LOOK_EVERY)
            await _until_none(on, _OPEN)
            return time.perf_counter() - began
    finally:
        stop.set()
        await running


async def _until_none(on: Stage, query: str) -> None:
    while await on.owner.fetchval(query):  # noqa: ASYNC110 - the other side is a database
        await asyncio.sleep(_LOOK_EVERY)


BENCH = Bench(
    "dispatch",
    "Send a planned campaign to an in-process ledger or an HTTP sink; floor: COPY and two batched updates by asyncpg.",
    Options,
    run,
    size="messages",
)
