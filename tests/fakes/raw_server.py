"""A server that does with its connections whatever a test wants, byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class RawConnection:
    """The server's end of one connection; `number` counts from 0."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[bytes]

    async def request(self) -> bytes:
        """The next whole request; its body only."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        body = await self.reader.readexactly(length)
        self.requests.append(body)
        return body

    async def say(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def hang_up(self) -> None:
        """End in good order, and see the other side end."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def abort(self) -> None:
        self.writer.transport.abort()


@dataclass
class RawServer:
    """Runs `behave` on every connection."""

    behave: Callable[[RawConnection], Awaitable[None]]
    port: int = 0
    connections: list[RawConnection] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    """Bodies, in order."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        connection = RawConnection(len(self.connections), reader, writer, self.requests)
        self.connections.append(connection)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.behave(connection)
        writer.transport.abort()
        self.tasks.discard(task)


@asynccontextmanager
async def raw_server(
    behave: Callable[[RawConnection], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    server = RawServer(behave)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls, limit=1_000_000)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(server.tasks):
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        await listener.wait_closed()
