"""HTTP clients beside ours, each doing the same POST. Those of others take part where they are installed."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, cast
from urllib.parse import urlsplit

Post = Callable[[Mapping[str, str], bytes], Awaitable[None]]
"""One POST, headers and body, until its answer is read."""
Rival = Callable[[str, AsyncExitStack], Awaitable[Post]]
"""Makes a client for a URL, which the stack closes."""

_OK = 200
_END = b"\r\n\r\n"


def request(headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a POST."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\nHost: sink\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


class _Bare(asyncio.Protocol):
    """Waits for the end of an answer whose length it takes for granted."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.waiting is not None and data.endswith(b"}"):
            self.waiting.set_result(data)


async def bare(url: str, stack: AsyncExitStack) -> Post:
    """The least that a POST can cost in this language: the floor."""
    idle: list[_Bare] = []
    loop, (host, port) = asyncio.get_running_loop(), _place(url)

    async def post(headers: Mapping[str, str], body: bytes) -> None:
        if idle:
            one = idle.pop()
        else:
            _, one = await loop.create_connection(_Bare, host, port)
            assert one.transport is not None
            stack.callback(one.transport.abort)
        assert one.transport is not None
        one.waiting = loop.create_future()
        one.transport.write(request(headers, body))
        await one.waiting
        idle.append(one)

    return post


async def streams(url: str, stack: AsyncExitStack) -> Post:
    """The streams of asyncio."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    host, port = _place(url)

    async def post(headers: Mapping[str, str], body: bytes) -> None:
        if idle:
            reader, writer = idle.pop()
        else:
            reader, writer = await asyncio.open_connection(host, port)
            stack.callback(writer.transport.abort)
        writer.write(request(headers, body))
        head = (await reader.readuntil(_END)).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        idle.append((reader, writer))

    return post


async def pyreqwest(url: str, stack: AsyncExitStack) -> Post:
    """As the channel used it before it had a client of its own: the answer read in pieces, up to a limit."""
    module = importlib.import_module("pyreqwest.client")
    builder = module.ClientBuilder().no_proxy().follow_redirects(False).referer(False).error_for_status(False)
    client: Any = builder.connect_timeout(timedelta(seconds=5)).timeout(timedelta(seconds=30)).build()
    stack.push_async_callback(client.close)

    async def post(headers: Mapping[str, str], body: bytes) -> None:
        async with client.post(url).headers(dict(headers)).body_bytes(body).build_streamed() as answer:
            assert answer.status == _OK
            while await answer.body_reader.read_chunk() is not None:
                pass

    return post


async def aiohttp(url: str, stack: AsyncExitStack) -> Post:
    """With as many connections as are wanted."""
    module = importlib.import_module("aiohttp")
    session: Any = module.ClientSession(connector=module.TCPConnector(limit=0))
    stack.push_async_callback(session.close)

    async def post(headers: Mapping[str, str], body: bytes) -> None:
        async with session.post(url, data=body, headers=headers) as answer:
            assert answer.status == _OK
            await answer.read()

    return post


OTHERS: Mapping[str, Rival] = {"pyreqwest": pyreqwest, "aiohttp": aiohttp}


def installed() -> Mapping[str, Rival]:
    """The clients that can take part here."""
    return {"streams": streams, **{name: rival for name, rival in OTHERS.items() if find_spec(name) is not None}}
