"""The sink: what it takes, what it says, and how it can be made to behave badly."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import orjson
import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.errors import SendError
from carillon.platforms.connectors.port import AccountConfig, Outbound, Platform
from carillon.runtime.bench.sink import SinkLedger, Temper, serve
from carillon.runtime.bench.sinking import sinking
from tests.conformance.connectors.harness import SECRET
from tests.conformance.connectors.harness import Sink as Updates


@asynccontextmanager
async def sink(temper: Temper) -> AsyncIterator[tuple[SinkLedger, int]]:
    ledger = SinkLedger()
    server = await serve(ledger, temper)
    try:
        yield ledger, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def ask(port: int, *pieces: bytes, answers: int) -> bytes:
    """What the sink says to the pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    said = b""
    while said.count(b'"}') + said.count(b" 400 ") < answers:
        more = await reader.read(65_536)
        assert more, said
        said += more
    writer.close()
    await writer.wait_closed()
    return said


def post(key: str, body: bytes = b"{}") -> bytes:
    return f"POST / HTTP/1.1\r\nidempotency-KEY: {key}\r\nContent-length:{len(body)}\r\n\r\n".encode() + body


async def send_all(port: int, count: int) -> tuple[list[UUID], Counter[str]]:
    """Our own account of what became of each message: the ids that were accepted, and how many ended how."""
    settings = {"url": f"http://127.0.0.1:{port}/"}
    config = AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings=settings, secret=SECRET)
    session = await CustomHttpConnector(NetGuard(["127.0.0.0/8"])).open(config, Updates())
    accepted: list[UUID] = []
    ended: Counter[str] = Counter()

    async def send() -> None:
        message = Outbound(uuid7(), 1, "p", "hi")
        try:
            assert (await session.send(message)).platform_id == f"s-{message.id}"
        except SendError as error:
            ended[type(error).__name__] += 1
        else:
            accepted.append(message.id)

    await asyncio.gather(*(send() for _ in range(count)))
    await session.close()
    return accepted, ended


async def test_its_ledger_is_ours() -> None:
    async with sink(Temper()) as (ledger, port):
        accepted, ended = await send_all(port, 50)
        assert ended == {}
        assert ledger.ids == {str(one).encode() for one in accepted}
        assert (ledger.requests, ledger.duplicated) == (50, 0)


async def test_its_moods_are_counted_and_mean_what_they_should() -> None:
    async with sink(Temper(error_rate=0.2, flood_rate=0.2, drop_rate=0.2)) as (ledger, port):
        accepted, ended = await send_all(port, 200)
        told = orjson.loads(ledger.told())
        assert min(told["refused"], told["flooded"], told["dropped"]) > 0
        assert ended == {"Uncertain": told["refused"] + told["dropped"], "Flooded": told["flooded"]}
        assert told["accepted"] == len(accepted) + told["dropped"]
        assert {str(one).encode() for one in accepted} <= ledger.ids


async def test_a_second_time_is_a_duplicate_and_names_keep_their_letters() -> None:
    async with sink(Temper(latency=0.001)) as (ledger, port):
        said = await ask(port, post("Key-A") + post("Key-A"), post("key-b"), answers=3)
        assert said.count(b"HTTP/1.1 200 OK") == 3
        assert (ledger.duplicated, ledger.ids) == (1, {b"Key-A", b"key-b"})


async def test_requests_are_read_however_they_are_cut() -> None:
    async with sink(Temper()) as (ledger, port):
        raw = post("a", b"x" * 20) + post("b")
        assert (await ask(port, *(bytes([one]) for one in raw), answers=2)).count(b"200 OK") == 2
        assert ledger.ids == {b"a", b"b"}


@pytest.mark.parametrize("raw", [b"POST / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
async def test_what_it_cannot_read_is_refused(raw: bytes) -> None:
    async with sink(Temper()) as (ledger, port):
        assert (await ask(port, raw, answers=1)).startswith(b"HTTP/1.1 400")
        assert ledger.ids == set()


@pytest.mark.acceptance
async def test_as_a_process_it_tells_its_ledger() -> None:
    async with sinking("--port", "0") as running:
        port = int(running.url.rstrip("/").rpartition(":")[2])
        accepted, _ = await send_all(port, 20)
        told = await running.ledger()
        assert (told["accepted"], told["duplicated"], told["requests"]) == (20, 0, 20)
        assert await running.ids() == {str(one) for one in accepted}
