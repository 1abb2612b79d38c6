"""What one POST costs the client in CPU, by HTTP client: why the custom HTTP channel has one of its own (ADR 0017).

`seconds` are CPU seconds of this process, all its threads; so `rate` is POSTs per second of CPU, of the whole channel:
message in, JSON, signature, POST, answer understood. `cpu_us` has every client's microseconds a POST; `client` is ours
without the channel. The sink is a process of its own, and all take turns in every run.

Floor: a bare `asyncio.Protocol` that waits for the answer's last byte and reads nothing of it.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.custom_http.client import PinnedClient
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.dialing import Trust
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.port import AccountConfig, Outbound, Platform, Update

from . import rivals
from .measuring import Bench, forget_peak, option, peak_rss_mb, result
from .sinking import sinking

Send = Callable[[Outbound], Awaitable[None]]

_GUARD = NetGuard(("127.0.0.0/8",))
_BODY = b'{"id":"0192aaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa","key":"-1234567890123456789","peer":"person-7","text":"Hello"}'
_SIGNATURE = "t=1795435200,v1=" + "a" * 64
_WARM_UP = 256
_MICRO = 1e6


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    posts: int = option(20_000, "POSTs of each client in each run")
    in_flight: int = option(64, "POSTs at once")
    runs: int = option(5, "runs; the median counts")


class _Nowhere:
    """Takes the updates of an account."""

    async def accept(self, updates: Sequence[Update], state: Mapping[str, bytes | None] | None = None) -> None:
        """See `UpdateSink`."""


async def run(options: Options) -> dict[str, Any]:
    """Measure every client that is installed, in turns."""
    async with sinking() as sink, AsyncExitStack() as stack:
        makers = {"bare": rivals.bare, **rivals.installed()}
        sends = {name: _as_send(await make(sink.url, stack)) for name, make in makers.items()}
        sends |= {"client": await _client(sink.url, stack), "channel": await _channel(sink.url, stack)}
        used: dict[str, list[float]] = {name: [] for name in sends}
        walls: dict[str, list[float]] = {name: [] for name in sends}
        for send in sends.values():
            await _drive(send, _WARM_UP, options.in_flight)
        before = await sink.ledger()
        forget_peak()
        for _ in range(options.runs):
            for name, send in sends.items():
                cpu, wall = await _drive(send, options.posts, options.in_flight)
                used[name].append(cpu)
                walls[name].append(wall)
        told = await sink.ledger()
        posts = (options.posts * options.runs + _WARM_UP) * len(sends)
        assert (told["accepted"], told["duplicated"]) == (posts, 0), told
        return result(
            "http_clients",
            options.posts,
            used["channel"],
            used["bare"],
            peak_rss_mb(),
            cpu_us={name: _spread(seconds, options.posts) for name, seconds in used.items()},
            per_second={name: round(options.posts / statistics.median(one)) for name, one in walls.items()},
            sink_cpu_us=_each(told, before),
        )


def _each(told: Mapping[str, Any], before: Mapping[str, Any]) -> float:
    """The sink's own microseconds a POST, without its start."""
    seconds: float = told["cpu_seconds"] - before["cpu_seconds"]
    posts: int = told["requests"] - before["requests"]
    return round(seconds / posts * _MICRO, 1)


async def _drive(send: Send, count: int, in_flight: int) -> tuple[float, float]:
    """Seconds of CPU and of the clock."""
    messages = iter([Outbound(uuid7(), -(2**62), "person-7", "Hello Person 7") for _ in range(count)])

    async def one_after_the_other() -> None:
        for message in messages:
            await send(message)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    return time.process_time() - cpu, time.perf_counter() - wall


def _spread(seconds: Sequence[float], count: int) -> Mapping[str, float]:
    """Median, least and most, in microseconds each."""
    found = (statistics.median(seconds), min(seconds), max(seconds))
    return {name: round(one / count * _MICRO, 1) for name, one in zip(("median", "min", "max"), found, strict=True)}


def _headers(message: Outbound) -> Mapping[str, str]:
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": str(message.id),
        "Carillon-Signature": _SIGNATURE,
    }


def _as_send(post: rivals.Post) -> Send:
    """A client that gets its headers and its body ready-made."""

    async def send(message: Outbound) -> None:
        await post(_headers(message), _BODY)

    return send


async def _client(url: str, stack: AsyncExitStack) -> Send:
    """Ours, alone."""
    client = PinnedClient(
        _GUARD,
        _GUARD.read(url),
        clock=SystemClock(),
        connect_seconds=5.0,
        answer_seconds=30.0,
        trust=Trust(None),
    )
    stack.push_async_callback(client.close)

    async def send(message: Outbound) -> None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in _headers(message).items())
        await client.post(fields.encode("ascii"), _BODY)

    return send


async def _channel(url: str, stack: AsyncExitStack) -> Send:
    """The connector, as the dispatcher calls it."""
    config = AccountConfig(uuid7(), Platform.CUSTOM, "bench", settings={"url": url}, secret=b"not a secret at all")
    session = await CustomHttpConnector(_GUARD).open(config, _Nowhere())
    stack.push_async_callback(session.close)

    async def send(message: Outbound) -> None:
        await session.send(message)

    return send


BENCH = Bench(
    "http_clients",
    "Client CPU of one POST by HTTP client, the channel's own first; floor: a bare asyncio protocol.",
    Options,
    run,
)
