"""How fast a campaign is planned: contacts in, ledger rows out, every exclusion applied.

Floor: a plain `INSERT … SELECT` of the very rows that planning wrote into a table of the same shape with the same
indexes, in one transaction of the same session.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from carillon.audience.contacts.models import contact
from carillon.kernel.ids import uuid7
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Plan, PoolAccount, Schedule, Variant

from .measuring import Bench, Stage, forget_peak, option, peak_rss_mb, result, stage, timed

# Of each hundred people: 5 opted out, 4 without address, 5 without consent, 3 whose consent expired, 2 who withdrew
# it and 1 who lacks the variable of the text.
_PEOPLE = """
INSERT INTO audience.contact
    (tenant_id, id, name, language, time_zone, country, tags, fields, peers, consents, opted_out_at)
SELECT $1, storage.uuid7(), 'Person ' || i, 'en', 'Europe/Berlin', 'DE', '{customer}',
    CASE WHEN i % 100 = 20 THEN '{}'::jsonb ELSE '{"city": "Berlin"}'::jsonb END,
    CASE WHEN i % 100 BETWEEN 5 AND 8 THEN '{}'::jsonb
         WHEN i % 2 = 0 THEN jsonb_build_object('telegram', i::text)
         ELSE jsonb_build_object('whatsapp', '+49' || i, 'telegram', i::text) END,
    CASE WHEN i % 100 BETWEEN 9 AND 13 THEN '{}'::jsonb
         WHEN i % 100 BETWEEN 14 AND 16
             THEN '{"marketing": {"*": {"status": "granted", "until": "2020-01-01T00:00:00+00:00"}}}'::jsonb
         WHEN i % 100 BETWEEN 17 AND 18 THEN '{"marketing": {"*": {"status": "withdrawn", "until": null}}}'::jsonb
         ELSE '{"marketing": {"*": {"status": "granted", "until": null}}}'::jsonb END,
    CASE WHEN i % 100 < 5 THEN now() END
FROM generate_series(1, $2::int) AS i
"""


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    messages: int = option(100_000, "people in the audience; each becomes one ledger row")
    accounts: int = option(80, "accounts in the pool, half on each platform")
    slice: int = option(50_000, "people in one transaction")
    runs: int = option(3, "repetitions; the median counts")


async def run(options: Options) -> dict[str, Any]:
    """Measure."""
    async with stage() as on:
        await on.owner.execute(_PEOPLE, on.tenant_id, options.messages)
        await on.owner.execute("VACUUM (ANALYZE) audience.contact")
        await on.owner.execute("CREATE TABLE bench.message (LIKE platforms.message INCLUDING ALL)")
        ours: list[float] = []
        bare: list[float] = []
        outcome: dict[str, Any] = {}
        forget_peak()
        for _ in range(options.runs):
            await on.owner.execute("TRUNCATE platforms.message, bench.message")
            await on.owner.execute("CHECKPOINT")
            seconds, outcome = await _plan(on, options)
            ours.append(seconds)
            await on.owner.execute("CHECKPOINT")
            bare.append(await timed(on.owner.execute("INSERT INTO bench.message SELECT * FROM platforms.message")))
        return result("plan", options.messages, ours, bare, peak_rss_mb(), **outcome)


async def _plan(on: Stage, options: Options) -> tuple[float, dict[str, Any]]:
    plan = _make_plan(on, options)
    database = on.resources.database
    async with database.transaction(on.tenant_id) as tx:
        await delivery.write_contents(tx, plan)
    planned, excluded, after, done = 0, dict[str, int](), None, False
    began = time.perf_counter()
    while not done:
        async with database.transaction(on.tenant_id) as tx:
            step = await delivery.plan_slice(tx, plan, after, options.slice)
        after, done, planned = step.after, step.done, planned + step.planned
        for reason, count in step.suppressed.items():
            excluded[reason] = excluded.get(reason, 0) + count
    seconds = time.perf_counter() - began
    rows = await on.owner.fetchval("SELECT count(*) FROM platforms.message")
    assert rows == planned + sum(excluded.values()) == options.messages, "a person without a ledger row"
    return seconds, {"planned": planned, "excluded": excluded}


def _make_plan(on: Stage, options: Options) -> Plan:
    now = datetime.now(UTC)
    half = max(1, options.accounts // 2)
    platforms = ("whatsapp", "telegram")
    return Plan(
        campaign_id=uuid7(),
        members=select(contact).where(contact.c.tenant_id == on.tenant_id),
        platforms=platforms,
        accounts=[PoolAccount(uuid7(), platform) for platform in platforms for _ in range(half)],
        variants=[
            Variant("A", 1, {"": "Hello {{ name }} in {{ fields.city }}"}),
            Variant("B", 1, {"": "Hi {{ fields.city }}"}),
        ],
        schedule=Schedule(at=now),
        now=now,
    )


BENCH = Bench(
    "plan",
    "Plan a campaign with all exclusions; floor: INSERT … SELECT of the same rows into a table of the same shape.",
    Options,
    run,
    size="messages",
)
