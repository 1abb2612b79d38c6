"""Whether anything grows: the whole product under a steady load for a while, memory and tables looked at throughout.

Campaigns of a second each are planned and sent to the simulated platform, which delivers, reads and replies. Each
process's memory is fitted with a straight line (least squares) over the samples after the warm-up. The run has failed
(`failed`, exit status 1) when a line grows by more than `--bound` megabytes over the measured time, when messages fall
behind for good, or when the platform's ledger is not ours.

Floor: none that would mean anything; `floor` is the rate that was asked for, `ratio` what was reached of it.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from carillon.audience.contacts.models import contact
from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.simulator.ledger import read_ledger
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Plan, PoolAccount, Schedule, Variant
from carillon.runtime.sandbox import add_sandbox_accounts

from .measuring import Bench, Stage, option, result, stage
from .processes import Installation, installation, rss_mb, until
from .simulating import NOBODY_SLEEPS, PEOPLE, none_left, simulator

_IDENTITIES = """
INSERT INTO audience.identity (tenant_id, id, contact_id, platform, kind, value)
SELECT tenant_id, storage.uuid7(), id, 'telegram', 'telegram_id', peers ->> 'telegram' FROM audience.contact
UNION ALL
SELECT tenant_id, storage.uuid7(), id, '*', 'phone', peers ->> 'whatsapp' FROM audience.contact
"""
_TABLES = """
SELECT sum(pg_total_relation_size(relid))::bigint AS bytes, sum(pg_indexes_size(relid))::bigint AS index_bytes,
    sum(n_dead_tup)::bigint AS dead FROM pg_stat_user_tables
"""
_OPEN = "SELECT EXISTS (SELECT FROM platforms.message WHERE phase = 0)"
_NOT_ONLINE = "SELECT EXISTS (SELECT FROM platforms.account WHERE state <> 'online')"
_SENT = "SELECT count(*) FROM platforms.message WHERE state IN ('sent', 'delivered', 'read', 'failed')"
_PARTS = 60
_WARM_UP = 0.25
_IN_TIME = 0.95
_MINUTE = 60
_PROGRAMS = ("api", "background", "delivery-1")
_BEHAVIOUR = (
    *("--delivered-rate", "0.95", "--delivered-seconds", "1", "--read-rate", "0.7", "--read-seconds", "2"),
    *("--reply-rate", "0.1", "--reply-seconds", "3", "--sent-rate", "1"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    minutes: int = option(20, "how long")
    rate: int = option(300, "messages a second")
    accounts: int = option(40, "simulated accounts")
    every: int = option(10, "seconds between two looks")
    bound: int = option(30, "megabytes by which a process may grow over the measured time")


@dataclass(slots=True)
class Samples:
    """What was seen.

    Attributes:
        at: Seconds since the beginning.
        memory: By process, in megabytes.
        tables: `bytes`, `index_bytes` and `dead` rows of the database.
    """

    at: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=dict)
    tables: list[Mapping[str, int]] = field(default_factory=list)

    async def take(self, on: Stage, ours: Installation, began: float) -> None:
        """Look once."""
        self.at.append(time.perf_counter() - began)
        for name in ours.processes:
            self.memory.setdefault(name, []).append(ours.rss_mb(name))
        self.memory.setdefault("postgresql", []).append(rss_mb([on.postmaster]))
        row = await on.owner.fetchrow(_TABLES)
        assert row is not None
        self.tables.append({name: int(value) for name, value in row.items()})

    def slopes(self) -> dict[str, float]:
        """Megabytes a second by which each of our processes grows, after the warm-up."""
        start = int(len(self.at) * _WARM_UP)
        ours = {name: values for name, values in self.memory.items() if name != "postgresql"}
        return {name: slope(self.at[start:], values[start:]) for name, values in ours.items()}

    @property
    def measured(self) -> float:
        """Seconds between the first and the last sample after the warm-up."""
        return self.at[-1] - self.at[int(len(self.at) * _WARM_UP)]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the straight line through the points, by least squares; 0 for fewer than two."""
    count = len(xs)
    middle_x, middle_y = sum(xs) / max(1, count), sum(ys) / max(1, count)
    spread = sum((x - middle_x) ** 2 for x in xs)
    if not spread:
        return 0.0
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread


async def run(options: Options) -> dict[str, Any]:
    """Measure once."""
    async with stage() as on, simulator(on, *_BEHAVIOUR) as address:
        await _people(on, options)
        async with installation(on, _PROGRAMS, simulator=address) as ours:
            made = await add_sandbox_accounts(on.resources, on.tenant_id, each=max(1, options.accounts // 2))
            await none_left(on, _NOT_ONLINE, "all accounts to be online")
            samples, began = Samples(), time.perf_counter()
            looking = asyncio.create_task(_look(on, ours, samples, began, options.every))
            try:
                await _load(on, made, options)
                await samples.take(on, ours, began)
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking
            seconds = time.perf_counter() - began
            sent = await on.owner.fetchval(_SENT)
            await none_left(on, _OPEN, "everything to be sent")
            await until(lambda: _told(on), "the platform to have told everything")
            memory = ours.rss_mb()
        return _judged(on, samples, options, sent=sent, seconds=seconds, memory=memory)


async def _people(on: Stage, options: Options) -> None:
    await on.owner.execute(NOBODY_SLEEPS, on.tenant_id)
    await on.owner.execute(PEOPLE, on.tenant_id, options.rate * _PARTS, _PARTS)
    await on.owner.execute(_IDENTITIES)
    await on.owner.execute("VACUUM (ANALYZE) audience.contact, audience.identity")


async def _look(on: Stage, ours: Installation, samples: Samples, began: float, every: int) -> None:
    while True:
        await samples.take(on, ours, began)
        await asyncio.sleep(every)


async def _load(on: Stage, accounts: Sequence[UUID], options: Options) -> None:
    """Plan and open a campaign every second; each goes to another sixtieth of the people."""
    began = time.perf_counter()
    half = len(accounts) // 2
    pool = [PoolAccount(one, "telegram" if place < half else "whatsapp") for place, one in enumerate(accounts)]
    for second in range(options.minutes * _MINUTE):
        if (wait := began + second - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        await _campaign(on, pool, second % _PARTS)


async def _campaign(on: Stage, pool: Sequence[PoolAccount], part: int) -> None:
    now = datetime.now(UTC)
    platforms = ("telegram", "whatsapp") if part % 2 else ("whatsapp", "telegram")
    plan = Plan(
        campaign_id=uuid7(),
        members=select(contact).where(
            contact.c.tenant_id == on.tenant_id, contact.c.fields["part"].as_integer() == part
        ),
        platforms=platforms,
        accounts=pool,
        variants=[Variant("A", 1, {"": "Hello {{ name }}"})],
        schedule=Schedule(at=now - timedelta(seconds=1)),
        now=now,
    )
    async with on.resources.database.transaction(on.tenant_id) as tx:
        await delivery.write_contents(tx, plan)
        step = await delivery.plan_slice(tx, plan, None)
        assert step.done, "a campaign of one second does not fit into one step"
        await delivery.open_lane(tx, plan.campaign_id)


async def _told(on: Stage) -> bool:
    ledger = await asyncio.to_thread(read_ledger, on.resources.settings.data / "simulator.ledger")
    return not ledger.unacked


def _judged(
    on: Stage, samples: Samples, options: Options, *, sent: int, seconds: float, memory: float
) -> dict[str, Any]:
    ledger = read_ledger(on.resources.settings.data / "simulator.ledger")
    wanted = options.rate * _MINUTE * options.minutes
    growth = {name: round(one * samples.measured, 2) for name, one in samples.slopes().items()}
    failed = [f"{name} grew by {grown} MB" for name, grown in growth.items() if grown > options.bound]
    if sent < wanted * _IN_TIME:
        failed.append(f"only {sent} of {wanted} messages were sent in time")
    if ledger.duplicates or len(ledger.accepted) < wanted:
        failed.append(f"the platform took {len(ledger.accepted)} of {wanted}, {len(ledger.duplicates)} of them twice")
    more = {
        "mb_per_hour": {name: round(one * 3600, 2) for name, one in samples.slopes().items()},
        "grown_mb": growth,
        "bound_mb": options.bound,
        "measured_seconds": round(samples.measured, 1),
        "memory_mb": {name: [values[0], values[-1]] for name, values in samples.memory.items()},
        "tables": [samples.tables[0], samples.tables[-1]],
        "most_dead_rows": max(one["dead"] for one in samples.tables),
        "replies": ledger.replies,
        "failed": failed,
    }
    return result("soak", sent, [seconds], [sent / options.rate], memory, **more)


BENCH = Bench(
    "soak",
    "Send steadily for a while and see what grows; fails when memory does. Floor: the rate that was asked for.",
    Options,
    run,
)
