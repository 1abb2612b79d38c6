"""The open screens of `bench live`, as a process of their own: thousands of WebSockets that note what comes when.

A job is one JSON line: `{"host", "port", "paths"}`, one path for each socket; an empty path is a socket without a
handshake, for the floor. It answers `{"open": n}` when all are connected and greeted, and to `{"stop": true}` with
`{"seen": {id: [Unix seconds, …]}, "closed": n}`: when each message came, on every socket that got it.
"""

import asyncio
import base64
import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson

_AT_ONCE = 50
_SHORT, _MEDIUM = 125, 126
_TEXT = 0x81


def frame(text: bytes) -> bytes:
    """A WebSocket text frame from a server (RFC 6455, 5.2)."""
    if len(text) <= _SHORT:
        return bytes((_TEXT, len(text))) + text
    return bytes((_TEXT, _MEDIUM)) + len(text).to_bytes(2, "big") + text


class Screens:
    """All sockets of a job."""

    def __init__(self) -> None:
        """None is open yet."""
        self.seen: defaultdict[str, list[float]] = defaultdict(list)
        self.closed = 0

    def note(self, text: bytes) -> None:
        """A frame came."""
        now = time.time()
        inbound_id = orjson.loads(text).get("data", {}).get("inbound_id")
        if inbound_id is not None:
            self.seen[inbound_id].append(now)


class Screen(asyncio.Protocol):
    """One socket: its handshake, then frames."""

    def __init__(self, screens: Screens, path: str, host: str) -> None:
        """Create it; it is ready once it was greeted."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._screens = screens
        self._path = path
        self._host = host
        self._buffer = b""
        self._upgraded = not path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.WriteTransport)
        if self._upgraded:
            self.ready.set_result(None)
            return
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take whole frames off the buffer."""
        self._buffer += data
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self._fail(head.decode("latin-1"))
                return
            self._upgraded, self._buffer = True, rest
        while (text := self._next()) is not None:
            if not self.ready.done():
                self.ready.set_result(None)
            self._screens.note(text)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it: nobody should lose a socket."""
        self._screens.closed += 1
        self._fail(str(exc or "closed"))

    def _next(self) -> bytes | None:
        if len(self._buffer) < 2:  # noqa: PLR2004 - the shortest head
            return None
        opcode, length, start = self._buffer[0], self._buffer[1] & 0x7F, 2
        if length >= _MEDIUM:
            start += 2 if length == _MEDIUM else 8
            length = int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + length:
            return None
        text, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
        return text if opcode == _TEXT else b"{}"

    def _fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))


async def _watch(job: Mapping[str, Any], lines: asyncio.StreamReader) -> None:
    screens, gate = Screens(), asyncio.Semaphore(_AT_ONCE)
    loop = asyncio.get_running_loop()
    transports: list[asyncio.BaseTransport] = []

    async def open_one(path: str) -> None:
        async with gate:
            transport, screen = await loop.create_connection(
                lambda: Screen(screens, path, job["host"]), job["host"], job["port"]
            )
            transports.append(transport)
            await screen.ready

    await asyncio.gather(*[open_one(path) for path in job["paths"]])
    _say({"open": len(transports)})
    await lines.readline()
    closed = screens.closed
    for transport in transports:
        transport.close()
    _say({"seen": screens.seen, "closed": closed})


def _say(what: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


async def _run() -> None:
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await _watch(orjson.loads(line), reader)


def main() -> None:
    """Do one job after the other until standard input ends."""
    asyncio.run(_run())
