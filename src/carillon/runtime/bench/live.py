"""How long a message takes to every open screen: from its arrival to the frame on each WebSocket of its tenant.

The sockets are in a process of their own and spread over tenants; the messages are written as a connector's are. The
figure is the 99th percentile over all frames; a rate of it is screens reached a second.

Floor: the same frames written by this process to as many bare sockets, without store, notification or permissions.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from carillon.gateway.live import tickets
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import InboundMessage
from carillon.platforms.delivery import api as delivery

from .measuring import Bench, Stage, cpu_split, option, result, stage
from .processes import Outsider, allow_files, installation, outsider, percentiles
from .watching import frame

_TENANT = "INSERT INTO identity.tenant (id, name, slug) VALUES ($1, $2, $3)"
# Thousands of handshakes take longer than a ticket usually lives.
_LATER = "UPDATE gateway.live_ticket SET expires_at = now() + interval '1 hour'"
_IDS = "SELECT platform_id, id FROM platforms.inbound_message"
_SETTLE = 1.0
_LAST = 3.0
"""Seconds that the last frames get."""


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    sockets: int = option(2_000, "open WebSockets")
    tenants: int = option(10, "tenants they are spread over")
    rate: int = option(20, "messages a second, over all tenants")
    seconds: int = option(10, "how long messages come, in each run")
    runs: int = option(5, "repetitions on the same sockets; the median counts")


@dataclass(frozen=True, slots=True)
class House:
    """A tenant with screens open and an account that is written to."""

    tenant_id: UUID
    account: accounts.Account


async def run(options: Options) -> dict[str, Any]:
    """Measure."""
    allow_files()
    async with stage() as on, outsider("watching") as screens:
        floor = [await _floor(screens, options) for _ in range(options.runs)]
        houses = [await _house(on, number) for number in range(options.tenants)]
        async with installation(on, ("api",)) as ours:
            before = ours.rss_mb()
            host, _, port = ours.base.removeprefix("http://").partition(":")
            paths = await _paths(on, houses, options.sockets)
            began = time.perf_counter()
            await screens.tell(host=host, port=int(port), paths=paths)
            assert (await screens.hear())["open"] == options.sockets
            opened = time.perf_counter() - began
            await asyncio.sleep(_SETTLE)
            idle = ours.rss_mb()
            count = options.rate * options.seconds
            with cpu_split(on.postmaster, ours=ours.pids) as cpu:
                sent = [await _send(on, houses, options, first=run * count) for run in range(options.runs)]
                await asyncio.sleep(_LAST)
            memory = ours.rss_mb()
            await screens.tell(stop=True)
            said = await screens.hear()
        assert said["closed"] == 0, f"{said['closed']} sockets were lost"
        delays = await _delays(on, said["seen"], sent, options)
        frames = sum(len(one) for one in delays)
        more = {
            "delay_ms": percentiles([delay for one in delays for delay in one]),
            "frames": frames,
            "mb_per_socket": round((idle - before) / options.sockets, 4),
            "open_seconds": round(opened, 3),
            "cpu_ms_per_thousand": cpu.per_thousand(frames),
        }
        return result("live", options.sockets, [_p99(one) for one in delays], floor, memory, **more)


async def _house(on: Stage, number: int) -> House:
    tenant_id = uuid7()
    await on.owner.execute(_TENANT, tenant_id, f"House {number}", f"house-{number}")
    new = accounts.NewAccount(
        "custom_http", "Shop", "shop", settings={"url": "http://127.0.0.1:9/send"}, secret=b"of no use here"
    )
    async with on.resources.database.transaction(tenant_id) as tx:
        return House(tenant_id, await accounts.create(tx, on.resources.vault, system_subject(tenant_id), new))


async def _paths(on: Stage, houses: Sequence[House], count: int) -> list[str]:
    paths = []
    for place, house in enumerate(houses):
        async with on.resources.database.transaction(house.tenant_id) as tx:
            for _ in range(_share(count, len(houses), place)):
                ticket = await tickets.issue(tx, system_subject(house.tenant_id), on.resources)
                paths.append(f"/ws?ticket={ticket}")
    await on.owner.execute(_LATER)
    return paths


def _share(count: int, parts: int, place: int) -> int:
    return count // parts + (place < count % parts)


async def _send(on: Stage, houses: Sequence[House], options: Options, *, first: int) -> dict[str, float]:
    """Let messages come on schedule; returns when each began to be written, by its platform id."""
    began, at = time.time(), dict[str, float]()
    for number in range(options.rate * options.seconds):
        if (wait := began + number / options.rate - time.time()) > 0:
            await asyncio.sleep(wait)
        name, house = f"m{first + number}", houses[number % len(houses)]
        message = InboundMessage(chat="c-1", sender="c-1", platform_id=name, text="Hello", at=datetime.now(UTC))
        at[name] = time.time()
        async with on.resources.database.transaction(house.tenant_id) as tx:
            await delivery.accept_updates(tx, on.resources, house.account, [message])
    return at


async def _delays(
    on: Stage, seen: dict[str, list[float]], sent: Sequence[dict[str, float]], options: Options
) -> list[list[float]]:
    """Seconds of each frame, by run; every socket of the tenant must have had every message once."""
    ids = {row["platform_id"]: str(row["id"]) for row in await on.owner.fetch(_IDS)}
    delays = []
    for one in sent:
        delays.append([arrived - at for name, at in one.items() for arrived in seen.get(ids[name], ())])
        wanted = sum(
            _share(options.sockets, options.tenants, number % options.tenants)
            for number in range(options.rate * options.seconds)
        )
        assert len(delays[-1]) == wanted, f"{len(delays[-1])} frames instead of {wanted}"
    return delays


def _p99(delays: Sequence[float]) -> float:
    return percentiles(delays)["p99"] / 1000


async def _floor(screens: Outsider, options: Options) -> float:
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0, backlog=1024)
    try:
        port = server.sockets[0].getsockname()[1]
        await screens.tell(host="127.0.0.1", port=port, paths=[""] * options.sockets)
        assert (await screens.hear())["open"] == options.sockets
        sent: dict[str, float] = {}
        began = time.time()
        for number in range(options.rate * options.seconds):
            if (wait := began + number / options.rate - time.time()) > 0:
                await asyncio.sleep(wait)
            data = {"type": "message.received", "data": {"inbound_id": str(number), "contact_id": str(uuid7())}}
            sent[str(number)] = time.time()
            for writer in writers[number % options.tenants :: options.tenants]:
                writer.write(frame(orjson.dumps(data)))
        await asyncio.sleep(_SETTLE)
        await screens.tell(stop=True)
        seen = (await screens.hear())["seen"]
    finally:
        server.close()
        for writer in writers:
            writer.close()
    return _p99([arrived - at for name, at in sent.items() for arrived in seen[name]])


BENCH = Bench(
    "live",
    "Push a message to all open WebSockets of its tenant, 99th percentile; floor: bare sockets written to directly.",
    Options,
    run,
    size="sockets",
)
