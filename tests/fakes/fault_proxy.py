"""A TCP proxy that breaks things on purpose: it stands between us and a platform or a database.

`trouble` may be changed at any time and counts for every connection, old and new. Nothing of what was said is
understood: bytes pass, wait, or are lost.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_PIECE = 64 * 1024


@dataclass
class Trouble:
    """What is wrong with the line.

    Attributes:
        latency: Seconds that every piece of a reply is late.
        bytes_per_second: How fast replies come; 0 is as fast as they can.
        cut_reply_after: The connection is closed after so many more bytes of reply: in the middle of one.
        drop_replies: Requests pass, replies are swallowed.
        black_hole: Nothing passes either way, and nobody is told: a half-open connection.
        refuse: New connections are reset.
        garble: What becomes of each piece of reply.
    """

    latency: float = 0.0
    bytes_per_second: float = 0.0
    cut_reply_after: int | None = None
    drop_replies: bool = False
    black_hole: bool = False
    refuse: bool = False
    garble: Callable[[bytes], bytes] = bytes


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def reset(self) -> None:
        """End both halves with RST rather than FIN."""
        for end in (self.client, self.server):
            sock = end.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()


@dataclass
class FaultProxy:
    """A proxy in front of `host:port`; use it as `async with proxying(...)`.

    Attributes:
        asked: Bytes of requests that passed.
        told: Bytes of replies that passed.
        swallowed: Bytes of either that were lost.
        watch: Told every piece of request that arrives, before anything becomes of it.
    """

    host: str
    port: int
    trouble: Trouble = field(default_factory=Trouble)
    asked: int = 0
    told: int = 0
    swallowed: int = 0
    watch: Callable[[bytes], None] = lambda _piece: None
    links: set[Link] = field(default_factory=set)
    address: str = ""

    def mend(self) -> None:
        """Nothing is wrong any more; what fell into the black hole stays lost."""
        self.trouble = Trouble()

    def reset_all(self) -> None:
        """Break every connection that is open now."""
        for link in list(self.links):
            link.reset()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        if self.trouble.refuse:
            Link(writer, writer).reset()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            Link(writer, writer).reset()
            return
        link = Link(writer, server_writer)
        self.links.add(link)
        halves = [
            asyncio.create_task(self._requests(reader, server_writer)),
            asyncio.create_task(self._replies(server_reader, link)),
        ]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
            self.links.discard(link)
            for end in (writer, server_writer):
                end.close()

    async def _requests(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(_PIECE):
                self.watch(piece)
                if self.trouble.black_hole:
                    self.swallowed += len(piece)
                    continue
                self.asked += len(piece)
                server.write(piece)
                await server.drain()

    async def _replies(self, reader: asyncio.StreamReader, link: Link) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(_PIECE):
                trouble = self.trouble
                if trouble.drop_replies or trouble.black_hole:
                    self.swallowed += len(piece)
                    continue
                if trouble.latency:
                    await asyncio.sleep(trouble.latency)
                if trouble.bytes_per_second:
                    await asyncio.sleep(len(piece) / trouble.bytes_per_second)
                if not await self._pass_on(trouble.garble(piece), trouble, link):
                    return

    async def _pass_on(self, piece: bytes, trouble: Trouble, link: Link) -> bool:
        """Write a piece of reply, or the part of it before the cut; False when the line was cut."""
        whole = piece
        if trouble.cut_reply_after is not None:
            piece = piece[: trouble.cut_reply_after]
            trouble.cut_reply_after -= len(piece)
        self.told += len(piece)
        link.client.write(piece)
        await link.client.drain()
        if len(piece) == len(whole):
            return True
        trouble.cut_reply_after = None
        # Closed in good order, so that the part before the cut arrives; a reset would take it back.
        return False


@asynccontextmanager
async def proxying(address: str) -> AsyncIterator[FaultProxy]:
    """A proxy in front of `host:port`, listening on a port of its own; every connection ends with it."""
    host, _, port = address.rpartition(":")
    proxy = FaultProxy(host, int(port))
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    bound = listener.sockets[0].getsockname()
    proxy.address = f"{bound[0]}:{bound[1]}"
    try:
        yield proxy
    finally:
        listener.close()
        proxy.reset_all()
        while proxy.links:  # noqa: ASYNC110 - their ends are callbacks of the loop
            await asyncio.sleep(0.01)
        await listener.wait_closed()
