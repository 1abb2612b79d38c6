"""The fault proxy does to a connection what it says, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.fakes.fault_proxy import FaultProxy, Trouble, proxying

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """A server that says everything back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1_000):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def talking(proxy: FaultProxy) -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection(*proxy.address.split(":"))
    try:
        yield reader, writer
    finally:
        writer.close()


async def said(ends: Ends, text: bytes) -> bytes:
    """What comes back for it."""
    ends[1].write(text)
    return await asyncio.wait_for(ends[0].readexactly(len(text)), 10)


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    async with echo() as address, proxying(address) as made:
        yield made


@pytest.mark.parametrize("trouble", [Trouble(), Trouble(latency=0.05), Trouble(bytes_per_second=100.0)])
async def test_what_is_late_arrives_whole(proxy: FaultProxy, trouble: Trouble) -> None:
    heard: list[bytes] = []
    proxy.watch = heard.append
    proxy.trouble = trouble
    async with talking(proxy) as ends:
        assert await said(ends, b"hello") == b"hello"
        assert await said(ends, b"again") == b"again"
    assert (proxy.asked, proxy.told, b"".join(heard)) == (10, 10, b"helloagain")


async def test_a_reply_is_cut_in_the_middle(proxy: FaultProxy) -> None:
    async with talking(proxy) as ends:
        proxy.trouble.cut_reply_after = 3
        ends[1].write(b"hello")
        assert await asyncio.wait_for(ends[0].read(), 10) == b"hel"
    async with talking(proxy) as ends:
        assert await said(ends, b"mended by itself") == b"mended by itself"


async def test_a_reset_breaks_every_connection(proxy: FaultProxy) -> None:
    async with talking(proxy) as ends:
        await said(ends, b"hello")
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(ends[0].read(), 10)


async def test_who_is_refused_is_reset(proxy: FaultProxy) -> None:
    proxy.trouble.refuse = True
    with pytest.raises(ConnectionError):
        async with talking(proxy) as ends:
            await said(ends, b"hello")


@pytest.mark.parametrize(("trouble", "asked"), [(Trouble(drop_replies=True), 5), (Trouble(black_hole=True), 0)])
async def test_what_is_swallowed_stays_lost_and_the_connection_open(
    proxy: FaultProxy, trouble: Trouble, asked: int
) -> None:
    proxy.trouble = trouble
    async with talking(proxy) as ends:
        ends[1].write(b"first")
        async with asyncio.timeout(10):
            while proxy.swallowed < 5:  # noqa: ASYNC110 - counted by the proxy's own tasks
                await asyncio.sleep(0.001)
        proxy.mend()
        assert await said(ends, b"later") == b"later"
    assert proxy.asked == asked + 5
    assert proxy.told == 5


async def test_garbled(proxy: FaultProxy) -> None:
    upper: Callable[[bytes], bytes] = bytes.upper
    proxy.trouble = Trouble(garble=upper)
    async with talking(proxy) as ends:
        assert await said(ends, b"hello") == b"HELLO"
