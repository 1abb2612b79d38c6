"""A tenant's HTTP server as a platform under test."""

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import orjson

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.custom_http.signature import is_signed
from carillon.platforms.connectors.port import AccountConfig, Connector, Outbound, Platform
from tests.conformance.connectors.harness import SECRET, Taken, outbound, unused_port

Reply = bytes | None


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class TinyServer:
    """Speaks just enough HTTP/1.1; `answer` gets (headers, body) and returns bytes, or None to break off."""

    answer: Callable[[dict[str, str], bytes], Reply]
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                pairs = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2]]
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                answer = self.answer(headers, body)
                if answer is None:
                    writer.transport.abort()
                    break
                writer.write(answer)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()


@asynccontextmanager
async def listening(server: TinyServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        server.abort()
        await listener.wait_closed()
        await asyncio.sleep(0)


class HttpHarness:
    """A server that checks every signature and keeps what it takes."""

    pushes_updates = False

    def __init__(self, *, deduplicates: bool) -> None:
        self._deduplicates = deduplicates
        self._lose_next = False
        self._taken: list[Taken] = []
        self._ids: dict[str, str] = {}
        self._keys = itertools.count(1)
        self.server = TinyServer(self._answer)
        self.dead_port = 0
        self.listening_at = 0
        guard = NetGuard(["127.0.0.0/8"])
        self.connector: Connector = CustomHttpConnector(guard, deduplicates=deduplicates)

    @property
    def port(self) -> int:
        return self.listening_at

    def _account(self, url: str) -> AccountConfig:
        return AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings={"url": url}, secret=SECRET)

    def account(self) -> AccountConfig:
        return self._account(f"http://127.0.0.1:{self.port}/in?token=t0ken")

    def refused_account(self) -> AccountConfig:
        return self._account("http://169.254.169.254/latest/meta-data/?token=t0ken")

    def unreachable(self) -> tuple[Connector, AccountConfig]:
        return self.connector, self._account(f"http://127.0.0.1:{self.dead_port}/in?token=t0ken")

    def message(self, text: str = "hello") -> Outbound:
        return outbound("someone", text, next(self._keys))

    def flooded(self) -> Outbound:
        return outbound("flood", "hello", next(self._keys))

    def rejected(self) -> Outbound:
        return outbound("nobody", "hello", next(self._keys))

    async def lose_next_answer(self) -> None:
        self._lose_next = True

    async def taken(self) -> list[Taken]:
        return self._taken

    async def inject(self, text: str) -> None:
        raise AssertionError("it does not push")

    async def unconfirmed(self) -> int:
        return 0

    def _answer(self, headers: dict[str, str], body: bytes) -> Reply:
        if not is_signed(SECRET, headers, body, now=datetime.now(UTC)):
            return reply(401)
        message = orjson.loads(body)
        if message["peer"] == "flood":
            return reply(429, b"", "Retry-After: 7")
        if message["peer"] == "nobody":
            return reply(404, b'{"error": {"class": "recipient", "code": "E1", "text": "No such person."}}')
        known = self._ids.get(headers["idempotency-key"]) if self._deduplicates else None
        if known is None:
            known = f"m{len(self._taken)}"
            self._ids[headers["idempotency-key"]] = known
            self._taken.append(Taken(UUID(message["id"]), message["peer"], message["text"]))
        if self._lose_next:
            self._lose_next = False
            return None
        return reply(200, orjson.dumps({"id": known}))


@asynccontextmanager
async def http_channel(*, deduplicates: bool) -> AsyncIterator[HttpHarness]:
    harness = HttpHarness(deduplicates=deduplicates)
    harness.dead_port = await unused_port()
    async with listening(harness.server) as harness.listening_at:
        yield harness
