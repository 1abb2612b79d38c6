"""How fast planned messages leave: lease check, consent check under lock, write, settle and event, all durable.

The platform is a ledger in this process that accepts at once. The clock runs from the opening of the campaign's gate
until the last message is `sent` in the database; consumers of the events do not run beside it.

Floor: what the same rows cost without a product: COPY, then two updates in batches of the same size, each its own
commit, by plain asyncpg on one connection.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from carillon.audience.contacts.models import contact
from carillon.kernel.ids import uuid7
from carillon.platforms.accounts.models import account
from carillon.platforms.connectors.port import Accepted, AccountConfig, Capabilities, Limits, Outbound, Rate, UpdateSink
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Plan, PoolAccount, Schedule, Variant
from carillon.platforms.delivery.dispatcher import BATCH
from carillon.platforms.delivery.worker import DeliveryWorker

from .measuring import Bench, Stage, forget_peak, option, peak_rss_mb, result, stage, timed

_PEOPLE = """
INSERT INTO audience.contact (tenant_id, id, name, time_zone, fields, peers, consents)
SELECT $1, storage.uuid7(), 'Person ' || i, 'Europe/Berlin', '{}', jsonb_build_object('telegram', i::text),
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


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    messages: int = option(50_000, "messages of the campaign")
    accounts: int = option(40, "accounts, all in one process")


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


async def run(options: Options) -> dict[str, Any]:
    """Measure once."""
    async with stage() as on:
        bare = await _floor(on, options.messages)
        planned_in, campaign_id = await _planned(on, options)
        await on.owner.execute("CHECKPOINT")
        ledger = Ledger()
        forget_peak()
        seconds = await _send(on, ledger, campaign_id)
        states = await on.owner.fetch("SELECT state, count(*) AS n FROM platforms.message GROUP BY 1")
        found = {row["state"]: row["n"] for row in states}
        assert found == {"sent": options.messages}, found
        assert ledger.accepted == len(ledger.keys) == options.messages, "a message was accepted twice"
        rss = peak_rss_mb()
        more = {"plan_seconds": round(planned_in, 3), "accounts": options.accounts}
        return result("dispatch", options.messages, [seconds], [bare], rss, **more)


async def _floor(on: Stage, count: int) -> float:
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


async def _planned(on: Stage, options: Options) -> tuple[float, UUID]:
    await on.owner.execute(_PEOPLE, on.tenant_id, options.messages)
    await on.owner.execute(_POLICY, on.tenant_id)
    await on.owner.execute("VACUUM (ANALYZE) audience.contact")
    accounts = await _accounts(on, options.accounts)
    now = datetime.now(UTC)
    plan = Plan(
        campaign_id=uuid7(),
        members=select(contact).where(contact.c.tenant_id == on.tenant_id),
        platforms=["telegram"],
        accounts=[PoolAccount(account_id, "telegram") for account_id in accounts],
        variants=[Variant("A", 1, {"": "Hello {{ name }}"})],
        schedule=Schedule(at=now - timedelta(seconds=1)),
        now=now,
    )
    database = on.resources.database
    async with database.transaction(on.tenant_id) as tx:
        await delivery.write_contents(tx, plan)
    after, done = None, False
    began = time.perf_counter()
    while not done:
        async with database.transaction(on.tenant_id) as tx:
            step = await delivery.plan_slice(tx, plan, after)
        after, done = step.after, step.done
    seconds = time.perf_counter() - began
    await on.owner.execute("ANALYZE platforms.message")
    return seconds, plan.campaign_id


async def _accounts(on: Stage, count: int) -> Sequence[UUID]:
    ids = [uuid7() for _ in range(count)]
    common = {"tenant_id": on.tenant_id, "connector": Ledger().name, "platform": "telegram", "state": "new"}
    rows = [{**common, "id": one, "name": f"Account {one}", "address": str(one)} for one in ids]
    async with on.resources.database.transaction(on.tenant_id) as tx:
        await tx.execute(insert(account), rows)
    return ids


async def _send(on: Stage, ledger: Ledger, campaign_id: UUID) -> float:
    """Seconds from the opening of the gate to the last settled message; the accounts are open before."""
    stop = asyncio.Event()
    worker = DeliveryWorker(on.resources, {ledger.name: ledger}, name="bench")
    running = asyncio.create_task(worker.run(stop))
    try:
        async with asyncio.timeout(_PATIENCE):
            await _until_none(on, _NOT_ONLINE)
            began = time.perf_counter()
            async with on.resources.database.transaction(on.tenant_id) as tx:
                await delivery.open_lane(tx, campaign_id)
            wanted = await on.owner.fetchval("SELECT count(*) FROM platforms.message")
            while ledger.accepted < wanted:  # noqa: ASYNC110 - counting must not cost the one who is measured
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
    "Send a planned campaign through an in-process ledger; floor: COPY and two batched updates by plain asyncpg.",
    Options,
    run,
)
