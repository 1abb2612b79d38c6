"""An HTTP server that takes every message, as cheaply as Python can: what the custom HTTP channel is measured against.

`python -m carillon.runtime.bench.sink --port 0` prints its URL as one line. Each POST is answered with
`{"id": "s-<Idempotency-Key>"}`; the server keeps its own ledger, which `GET /ledger` tells as JSON (`requests`,
`accepted`, `duplicated`, `refused`, `flooded`, `dropped`, `cpu_seconds`) and `GET /ledger/ids` as one key a line.
Flags make it slow or bad: what it drops, it has taken, and only the answer is lost.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import orjson

from carillon.ops import lifeline

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_KEY = b"\r\nidempotency-key:"
_OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{"id":"s-%b"}'
_AROUND_KEY = len('{"id":"s-"}')
_FAULT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
_FLOOD = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
_LONGEST = 1_048_576


@dataclass(frozen=True, slots=True)
class Temper:
    """How the sink treats those who call it; rates are shares of the requests, together at most 1.

    Attributes:
        latency: Seconds before each answer.
        error_rate: Answered 500, not taken.
        flood_rate: Answered 429, not taken.
        drop_rate: Taken, but the connection breaks instead of an answer.
        seed: Of the dice.
    """

    latency: float = 0.0
    error_rate: float = 0.0
    flood_rate: float = 0.0
    drop_rate: float = 0.0
    seed: int = 7

    @property
    def even(self) -> bool:
        """Every message is taken and answered."""
        return not (self.error_rate or self.flood_rate or self.drop_rate)


@dataclass(slots=True)
class SinkLedger:
    """What was taken, by idempotency key."""

    requests: int = 0
    duplicated: int = 0
    refused: int = 0
    flooded: int = 0
    dropped: int = 0
    ids: set[bytes] = field(default_factory=set)

    def take(self, key: bytes) -> None:
        """Keep a key; the second time it is a duplicate."""
        if key in self.ids:
            self.duplicated += 1
        else:
            self.ids.add(key)

    def told(self) -> bytes:
        """The counts as JSON, with the CPU time this process has used."""
        counts = asdict(self)
        counts["accepted"] = len(counts.pop("ids"))
        return orjson.dumps({**counts, "cpu_seconds": round(time.process_time(), 3)})


class SinkConnection(asyncio.Protocol):
    """One caller: reads whole requests, answers them in order."""

    def __init__(self, ledger: SinkLedger, temper: Temper, dice: random.Random) -> None:
        """Create it for a server."""
        self._ledger = ledger
        self._temper = temper
        self._dice = dice
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # Not isinstance: uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See `asyncio.Protocol`."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        data = self._rest + data if self._rest else data
        start = 0
        while (end := data.find(_END, start)) >= 0:
            # Header names are compared in small letters; the key's own letters stay as they are.
            head = data[start : end + 2]
            small = head.lower()
            length = _value(head, small, _LENGTH)
            if length and not length.isdigit():
                self._answer(_BAD)
                break
            body = end + len(_END)
            whole = body + int(length or 0)
            if len(data) < whole:
                break
            self._request(head, small)
            start = whole
        self._rest = data[start:]
        if len(self._rest) > _LONGEST:
            self._abort()

    def _request(self, head: bytes, small: bytes) -> None:
        if not head.startswith(b"POST "):
            self._tell(head.split(b" ", 2)[1])
            return
        key = _value(head, small, _KEY)
        if not key:
            self._answer(_BAD)
            return
        self._ledger.requests += 1
        if self._temper.even:
            self._ledger.take(key)
            self._answer(_OK % (_AROUND_KEY + len(key), key))
        else:
            self._moody(key)

    def _moody(self, key: bytes) -> None:
        temper, ledger, roll = self._temper, self._ledger, self._dice.random()
        if roll < temper.error_rate:
            ledger.refused += 1
            self._answer(_FAULT)
        elif roll < temper.error_rate + temper.flood_rate:
            ledger.flooded += 1
            self._answer(_FLOOD)
        else:
            ledger.take(key)
            if roll < temper.error_rate + temper.flood_rate + temper.drop_rate:
                ledger.dropped += 1
                self._abort()
            else:
                self._answer(_OK % (_AROUND_KEY + len(key), key))

    def _tell(self, path: bytes) -> None:
        kind, told = b"application/json", self._ledger.told()
        if path == b"/ledger/ids":
            kind, told = b"text/plain", b"".join(b"%b\n" % key for key in sorted(self._ledger.ids))
        self._answer(_TEXT % (kind, len(told), told))

    def _answer(self, answer: bytes) -> None:
        if self._temper.latency:
            asyncio.get_running_loop().call_later(self._temper.latency, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)
            if answer is _BAD:
                self._transport.close()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _value(head: bytes, small: bytes, name: bytes) -> bytes:
    """A header's value; empty where there is none."""
    at = small.find(name)
    if at < 0:
        return b""
    at += len(name)
    return head[at : head.index(b"\r\n", at)].strip()


async def serve(ledger: SinkLedger, temper: Temper, port: int = 0) -> asyncio.Server:
    """Listen on 127.0.0.1; port 0 takes a free one."""
    loop, dice = asyncio.get_running_loop(), random.Random(temper.seed)  # noqa: S311 - dice, not keys
    return await loop.create_server(lambda: SinkConnection(ledger, temper, dice), "127.0.0.1", port, backlog=1024)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGTERM, SIGINT or the end of the process that started it."""
    import uvloop

    options = _parser().parse_args(arguments)
    rates = (options.error_rate, options.flood_rate, options.drop_rate)
    temper = Temper(options.latency_ms / 1_000, *rates, seed=options.seed)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(temper, options.port))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="carillon.runtime.bench.sink", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="before each answer")
    for name, text in (("error", "answered 500"), ("flood", "answered 429"), ("drop", "taken but not answered")):
        parser.add_argument(f"--{name}-rate", type=float, default=0.0, help=f"share of the requests that is {text}")
    parser.add_argument("--seed", type=int, default=Temper().seed, help="of the dice that the rates throw")
    return parser


async def _run(temper: Temper, port: int) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    lifeline.hold()
    server = await serve(SinkLedger(), temper, port)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/\n")
    sys.stdout.flush()
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    main()
