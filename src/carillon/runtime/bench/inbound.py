"""How fast a platform's calls become messages: signed webhooks over real HTTP to the real processes.

First paced: each call is timed from when it was due to when it is answered (it is durable then) and to when its message
can be seen in the database. Then bursts: more calls than anybody can take at once; the clock runs from the first one
until the last message stands in its conversation.

Floor: the bodies of a burst, fifty at a time, written by plain asyncpg into a bare table, each fifty its own commit.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts

from .calling import call_body
from .measuring import Bench, Stage, cpu_split, option, result, stage, timed
from .processes import Installation, Outsider, installation, outsider, percentiles, until

_SECRET = "what the platform signs its calls with"  # noqa: S105 - of an account that lives for minutes
_FLOOR = "CREATE TABLE bench.call (id uuid PRIMARY KEY, body bytea NOT NULL)"
_FLOOR_INSERT = "INSERT INTO bench.call SELECT * FROM unnest($1::uuid[], $2::bytea[])"
_FLOOR_BATCH = 50
_NEWS = "SELECT id, platform_id FROM platforms.inbound_message WHERE tenant_id = $1 AND id > $2 ORDER BY id"
_UNREAD = "SELECT coalesce(sum(unread), 0) FROM platforms.conversation WHERE tenant_id = $1"
_WRONG = """
SELECT (SELECT count(*) FROM platforms.inbound_message) AS messages,
    (SELECT count(DISTINCT platform_id) FROM platforms.inbound_message) AS distinct_messages,
    (SELECT count(*) FROM platforms.webhook_call) AS calls,
    (SELECT count(*) FROM platforms.webhook_call WHERE error IS NOT NULL) AS errors
"""
_LOOK_EVERY = 0.02
_OK = "200"


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    rate: int = option(1_200, "calls a second while paced")
    seconds: int = option(30, "how long they are paced")
    burst: int = option(20_000, "calls of a burst")
    burst_rate: int = option(2_000, "calls a second of a burst")
    accounts: int = option(40, "accounts that are called")
    people: int = option(5_000, "people who write")
    lines: int = option(64, "connections of the platform")
    runs: int = option(5, "bursts; the median counts")


@dataclass(slots=True)
class Seen:
    """When each message could first be seen in the database, by its number."""

    on: Stage
    at: dict[int, float] = field(default_factory=dict)
    last: UUID = field(default_factory=lambda: UUID(int=0))

    async def watch(self) -> None:
        """Look until cancelled; messages of one process come in the order of their ids."""
        while True:
            for row in await self.on.owner.fetch(_NEWS, self.on.tenant_id, self.last):
                self.at[int(row["platform_id"][1:])] = time.time()
                self.last = row["id"]
            await asyncio.sleep(_LOOK_EVERY)


async def run(options: Options) -> dict[str, Any]:
    """Measure."""
    async with stage() as on, outsider("calling") as platform:
        floor = [await _floor(on, options) for _ in range(options.runs)]
        called = await _accounts(on, options.accounts)
        job: dict[str, Any] = {"tenant": str(on.tenant_id), "people": options.people, "lines": options.lines}
        async with installation(on, ("api", "background")) as ours:
            host, _, port = ours.base.removeprefix("http://").partition(":")
            job |= {"host": host, "port": int(port), "accounts": called}
            paced = await _paced(on, ours, platform, job, options)
            sent = paced["calls"]
            bursts, answers, memory = [], list[float](), ours.rss_mb()
            for _ in range(options.runs):
                seconds, answered = await _burst(on, platform, {**job, "first": sent}, options)
                sent += options.burst
                bursts.append(seconds)
                answers += answered
                memory = max(memory, ours.rss_mb())
            await _check(on, sent)
            more = {**paced, "burst": {"rate": options.burst_rate, "answer_ms": percentiles(answers), "lost": 0}}
            return result("inbound", options.burst, bursts, floor, memory, **more)


async def _floor(on: Stage, options: Options) -> float:
    bodies = [call_body(number, options.people) for number in range(options.burst)]
    await on.owner.execute(_FLOOR)

    async def bare() -> None:
        for start in range(0, len(bodies), _FLOOR_BATCH):
            some = bodies[start : start + _FLOOR_BATCH]
            await on.owner.execute(_FLOOR_INSERT, [uuid7() for _ in some], some)

    seconds = await timed(bare())
    await on.owner.execute("DROP TABLE bench.call")
    return seconds


async def _accounts(on: Stage, count: int) -> list[Mapping[str, str]]:
    made: list[Mapping[str, str]] = []
    async with on.resources.database.transaction(on.tenant_id) as tx:
        for number in range(count):
            new = accounts.NewAccount(
                "custom_http",
                f"Shop {number}",
                f"shop-{number}",
                settings={"url": "http://127.0.0.1:9/send"},
                secret=_SECRET.encode(),
            )
            account = await accounts.create(tx, on.resources.vault, system_subject(on.tenant_id), new)
            made.append({"id": str(account.id), "secret": _SECRET})
    return made


async def _paced(
    on: Stage, ours: Installation, platform: Outsider, job: Mapping[str, Any], options: Options
) -> dict[str, Any]:
    # What starts cold (connections, plans, caches) is not what is measured.
    warm = options.rate
    await platform.tell(**job, first=0, count=warm, rate=options.rate)
    _all_answered(await platform.hear(), warm)
    await _until_told(on, warm)
    seen = Seen(on)
    watching = asyncio.create_task(seen.watch())
    try:
        calls = options.rate * options.seconds
        with cpu_split(on.postmaster, ours=ours.pids) as cpu:
            await platform.tell(**job, first=warm, count=calls, rate=options.rate)
            said = await platform.hear()
            _all_answered(said, calls)
            await until(lambda: _all_seen(seen, warm + calls), "the last paced message")
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    await _until_told(on, warm + calls)
    answers = [answered - due for due, answered in zip(said["due"], said["answered"], strict=True)]
    understood = [seen.at[warm + number] - due for number, due in enumerate(said["due"])]
    lasted = max(seen.at.values()) - said["due"][0]
    return {
        "calls": warm + calls,
        "sustained_rate": round(calls / lasted, 1),
        "answer_ms": percentiles(answers),
        "understood_ms": percentiles(understood),
        "cpu_ms_per_thousand": cpu.per_thousand(calls),
    }


async def _all_seen(seen: Seen, total: int) -> bool:
    return len(seen.at) >= total


async def _burst(on: Stage, platform: Outsider, job: Mapping[str, Any], options: Options) -> tuple[float, list[float]]:
    """Seconds until everything of a burst stands in the conversations, and how long the answers took."""
    await platform.tell(**job, count=options.burst, rate=options.burst_rate)
    said = await platform.hear()
    _all_answered(said, options.burst)
    await _until_told(on, job["first"] + options.burst)
    seconds = time.time() - said["due"][0]
    return seconds, [answered - due for due, answered in zip(said["due"], said["answered"], strict=True)]


async def _until_told(on: Stage, total: int) -> None:
    async def told() -> bool:
        return bool(await on.owner.fetchval(_UNREAD, on.tenant_id) >= total)

    await until(told, "the conversations to have everything", every=_LOOK_EVERY)


def _all_answered(said: Mapping[str, Any], count: int) -> None:
    assert said["statuses"] == {_OK: count}, f"answers: {said['statuses']}"


async def _check(on: Stage, sent: int) -> None:
    """Nothing is lost and nothing is there twice."""
    found = dict(await on.owner.fetchrow(_WRONG) or {})
    wanted = {"messages": sent, "distinct_messages": sent, "calls": sent, "errors": 0}
    assert found == wanted, f"{found} instead of {wanted}"
    unread = await on.owner.fetchval(_UNREAD, on.tenant_id)
    assert unread == sent, f"{unread} messages in the conversations instead of {sent}"


BENCH = Bench(
    "inbound",
    "Take signed webhooks over HTTP, paced and in bursts; floor: the same bodies in batches into a bare table.",
    Options,
    run,
    size="burst",
)
