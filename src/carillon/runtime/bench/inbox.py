"""How fast the inbox answers when it is large: many agents poll their lists and search, over real HTTP.

Each agent asks every `--every` seconds for its own conversations, the unassigned ones, all of them and the counts, and
searches for a person by part of a name and by the beginning of a number. Times are from when a question was due; the
figure is the 95th percentile of the lists (`Mine`, `Unassigned`, `All`) together, `rate` is answers a second at it.

Floor: the first page of all conversations by plain asyncpg as the owner, without row-level security, names and HTTP,
one after the other: the 95th percentile.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.identity.api_keys import api as api_keys
from carillon.kernel.permissions import ALL_PERMISSIONS
from carillon.kernel.subject import system_subject
from carillon.runtime.sandbox import add_sandbox_accounts

from .measuring import Bench, Stage, cpu_split, option, result, stage
from .processes import installation, outsider, percentiles

_PEOPLE = """
INSERT INTO audience.contact (tenant_id, id, name, time_zone, peers, fields)
SELECT $1, storage.uuid7(),
    CASE WHEN i % 10 = 0 THEN (ARRAY['王','李','张','刘','陈'])[1 + i / 10 % 5]
             || (ARRAY['伟','芳','秀英','敏','强'])[1 + i / 50 % 5]
         ELSE (ARRAY['Ada','Boris','Chen','Dalia','Emre','Fatima','Grace'])[1 + i % 7] || ' Person ' || i END,
    'Europe/Berlin', jsonb_build_object('whatsapp', '+49151' || lpad(i::text, 8, '0')), jsonb_build_object('n', i)
FROM generate_series(1, $2::int) AS i
"""
_IDENTITIES = """
INSERT INTO audience.identity (tenant_id, id, contact_id, platform, kind, value)
SELECT tenant_id, storage.uuid7(), id, '*', 'phone', peers ->> 'whatsapp' FROM audience.contact
"""
# Half are resolved; a third of the others is nobody's, the rest is spread over the agents.
_CONVERSATIONS = """
INSERT INTO platforms.conversation (tenant_id, id, account_id, contact_id, platform, status, assignee_id, labels,
    unread, last_at, last_direction, last_preview)
SELECT c.tenant_id, storage.uuid7(), ($1::uuid[])[1 + n % cardinality($1::uuid[])], c.id, 'whatsapp',
    CASE WHEN n % 2 = 0 THEN 'resolved' WHEN n % 10 = 1 THEN 'pending' ELSE 'open' END,
    CASE WHEN n % 3 = 0 THEN NULL ELSE ($2::uuid[])[1 + n % cardinality($2::uuid[])] END,
    CASE WHEN n % 20 = 0 THEN ARRAY['vip'] ELSE '{}' END,
    CASE WHEN n % 4 = 1 THEN 1 + n % 3 ELSE 0 END,
    now() - n % 2592000 * interval '1 second', 'in', 'Is my order on its way?'
FROM (SELECT tenant_id, id, (fields ->> 'n')::int AS n FROM audience.contact) c
"""
_FLOOR = """
SELECT * FROM platforms.conversation WHERE tenant_id = $1 ORDER BY last_at DESC, id DESC LIMIT 51
"""
_FLOOR_RUNS = 200
_PAGE = "/api/v1/conversations?limit=50"
_ASKS = (
    ("mine", f"{_PAGE}&status=open&assignee=me"),
    ("unassigned", f"{_PAGE}&status=open&assignee=none"),
    ("all", f"{_PAGE}&status=open"),
    ("counts", "/api/v1/conversations/counts"),
    ("search", f"{_PAGE}&query={{needle}}"),
)
_LISTS = ("mine", "unassigned", "all")


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    conversations: int = option(1_000_000, "conversations of one tenant, one for each person")
    agents: int = option(100, "agents who poll")
    every: int = option(10, "seconds between two rounds of an agent")
    seconds: int = option(60, "how long they poll, in each run")
    runs: int = option(1, "repetitions; the median counts")


async def run(options: Options) -> dict[str, Any]:
    """Measure."""
    async with stage() as on, outsider("polling") as agents:
        tokens, keys = await _keys(on, options.agents)
        began = time.perf_counter()
        await _seed(on, keys, options.conversations)
        seeded = time.perf_counter() - began
        floor = await _floor(on)
        async with installation(on, ("api",)) as ours:
            host, _, port = ours.base.removeprefix("http://").partition(":")
            job = {"host": host, "port": int(port), "tokens": tokens, "every": options.every}
            job |= {"asks": _ASKS, "needles": _needles(options.conversations)}
            # Every agent asks once before it counts: connections, plans and caches are cold.
            await agents.tell(**job, seconds=1)
            _check(await agents.hear(), options)
            seconds: dict[str, list[float]] = {}
            p95s = []
            with cpu_split(on.postmaster, ours=ours.pids) as cpu:
                for _ in range(options.runs):
                    await agents.tell(**job, seconds=options.seconds)
                    said = await agents.hear()
                    _check(said, options)
                    p95s.append(_p95([one for name in _LISTS for one in said["seconds"][name]]))
                    for name, some in said["seconds"].items():
                        seconds.setdefault(name, []).extend(some)
            memory = ours.rss_mb()
        answers = sum(len(one) for one in seconds.values())
        more = {
            "answer_ms": {name: percentiles(some) for name, some in seconds.items()},
            "answers": answers,
            "seed_seconds": round(seeded, 1),
            "cpu_ms_per_thousand": cpu.per_thousand(answers),
        }
        made = result("inbox", options.conversations, p95s, [floor], memory, **more)
        # A rate of conversations would mean nothing: it is the answers that are counted.
        return {**made, "rate": round(1 / made["seconds"], 1), "floor": round(1 / floor, 1)}


async def _keys(on: Stage, count: int) -> tuple[list[str], list[UUID]]:
    subject, tokens, ids = system_subject(on.tenant_id), [], []
    async with on.resources.database.transaction(on.tenant_id) as tx:
        for number in range(count):
            issued = await api_keys.create_key(
                tx,
                subject,
                on.resources.vault,
                name=f"Agent {number}",
                mask=ALL_PERMISSIONS,
                now=datetime.now(UTC),
            )
            tokens.append(issued.text)
            ids.append(issued.key.id)
    return tokens, ids


async def _seed(on: Stage, agents: Sequence[UUID], count: int) -> None:
    accounts = await add_sandbox_accounts(on.resources, on.tenant_id, each=5)
    await on.owner.execute(_PEOPLE, on.tenant_id, count)
    await on.owner.execute(_IDENTITIES)
    await on.owner.execute(_CONVERSATIONS, accounts, list(agents))
    await on.owner.execute("VACUUM (ANALYZE) audience.contact, audience.identity, platforms.conversation")


async def _floor(on: Stage) -> float:
    taken = []
    for _ in range(_FLOOR_RUNS):
        began = time.perf_counter()
        await on.owner.fetch(_FLOOR, on.tenant_id)
        taken.append(time.perf_counter() - began)
    return _p95(taken)


def _p95(seconds: Sequence[float]) -> float:
    return percentiles(seconds)["p95"] / 1000


def _needles(count: int) -> list[str]:
    """Numbers, whole names, parts of names, Chinese ones: each is somebody's."""
    people = [1 + place * 7919 % count for place in range(20)]
    numbers = [f"+49151{one:08d}" for one in people]
    names = [f"Person {one}" for one in people if one % 10]
    return [needle for pair in zip(numbers, names, strict=False) for needle in pair] + [
        "王伟",
        "秀英",
        "Boris Person 1",
    ]


def _check(said: Mapping[str, Any], options: Options) -> None:
    assert set(said["statuses"]) == {"200"}, f"answers: {said['statuses']}"
    asked = len(said["seconds"]["counts"])
    assert said["found"]["counts"] == asked * options.conversations, "the counts are not those of all conversations"
    for name in (*_LISTS, "search"):
        assert said["found"][name], f"nothing was found by {name}"


BENCH = Bench(
    "inbox",
    "Poll and search a large inbox over HTTP, 95th percentile of the lists; floor: its first page by plain asyncpg.",
    Options,
    run,
    size="conversations",
)
