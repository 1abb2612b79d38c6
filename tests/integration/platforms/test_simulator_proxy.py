"""An account bound to a proxy: every byte goes through it, and none past it when it dies."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.errors import NotSent, Uncertain
from carillon.platforms.connectors.port import AccountConfig, Outbound, Platform, ProxyEndpoint, Session, Update
from carillon.platforms.connectors.simulator.behaviour import Behaviour
from carillon.platforms.connectors.simulator.connector import SimulatorConnector
from carillon.platforms.connectors.simulator.server import SimulatorServer
from tests.fakes.relay import Relay


class Quiet:
    async def accept(self, updates: Sequence[Update], state: object = None) -> None: ...


@asynccontextmanager
async def simulator(folder: Path) -> AsyncIterator[str]:
    server = SimulatorServer(folder / "ledger", Behaviour())
    address = await server.start(0)
    try:
        yield address
    finally:
        await server.close()


def message() -> Outbound:
    return Outbound(id=uuid7(), key=1, peer="+491511234567", text="hello")


def connections_to(port: int) -> int:
    """Sockets of this process that lead to the port."""
    found = psutil.Process(os.getpid()).net_connections("tcp")
    return sum(1 for one in found if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED")


async def _until_refused(session: Session) -> None:
    """The connection's end may not have been noticed yet."""
    while True:
        try:
            await session.send(message())
        except NotSent:
            return
        except Uncertain:
            continue


@pytest.mark.parametrize("scheme", ["socks5", "http"])
async def test_every_byte_goes_through_the_proxy_and_none_past_it(tmp_path: Path, scheme: str) -> None:
    relay = Relay(scheme)
    await relay.start()
    async with simulator(tmp_path) as address:
        port = int(address.rpartition(":")[2])
        account = AccountConfig(
            id=uuid7(),
            platform=Platform.TELEGRAM,
            address="a1",
            proxy=ProxyEndpoint(scheme, "127.0.0.1", relay.port),
        )
        session = await SimulatorConnector(address, Platform.TELEGRAM).open(account, Quiet())
        try:
            assert (await session.send(message())).platform_id
            assert relay.targets == [port]
            # The relay's own connection, and no other.
            assert connections_to(port) == 1
            await relay.die()
            async with asyncio.timeout(20):
                await _until_refused(session)
            assert connections_to(port) == 0
        finally:
            await session.close()
