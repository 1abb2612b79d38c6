"""The simulator, of either flavour, as a platform under test."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.port import AccountConfig, Connector, Outbound, Platform
from carillon.platforms.connectors.simulator.admin import SimulatorAdmin
from carillon.platforms.connectors.simulator.behaviour import Behaviour
from carillon.platforms.connectors.simulator.connector import SimulatorConnector
from carillon.platforms.connectors.simulator.fate import SendFate, peer_fate, send_fate
from carillon.platforms.connectors.simulator.ledger import summary_of
from carillon.platforms.connectors.simulator.server import SimulatorServer
from tests.conformance.connectors.harness import SECRET, ImpatientClock, Taken, outbound, unused_port

BEHAVIOUR = Behaviour(seed=3, flood_rate=0.2, bounce_rate=0.2)


class SimulatorHarness:
    """One server in this process; messages are chosen so that their fate is the wanted one."""

    pushes_updates = True

    def __init__(self, server: SimulatorServer, address: str, platform: Platform, dead_port: int) -> None:
        self._server = server
        self._address = address
        self._platform = platform
        self._dead_port = dead_port
        self._keys = itertools.count(1)
        self.connector: Connector = self._connector(address)

    def _connector(self, address: str) -> SimulatorConnector:
        return SimulatorConnector(address, self._platform, clock=ImpatientClock())

    @property
    def port(self) -> int:
        return int(self._address.rpartition(":")[2])

    def account(self) -> AccountConfig:
        return AccountConfig(id=uuid7(), platform=self._platform, address="acc", secret=SECRET)

    def refused_account(self) -> AccountConfig:
        return AccountConfig(id=uuid7(), platform=self._platform, address="acc", secret=SECRET + b"-wrong")

    def unreachable(self) -> tuple[Connector, AccountConfig]:
        return self._connector(f"127.0.0.1:{self._dead_port}"), self.account()

    def message(self, text: str = "hello") -> Outbound:
        return self._find(text, lambda exists, fate: exists and fate.flood is None)

    def flooded(self) -> Outbound:
        return self._find("hello", lambda exists, fate: exists and fate.flood is not None)

    def rejected(self) -> Outbound:
        return self._find("hello", lambda exists, fate: not exists)

    def _find(self, text: str, wanted: Callable[[bool, SendFate], bool]) -> Outbound:
        while True:
            key = next(self._keys)
            peer = f"peer-{key}"
            if wanted(peer_fate(BEHAVIOUR, peer).exists, send_fate(BEHAVIOUR, "acc", peer, key)):
                return outbound(peer, text, key)

    async def lose_next_answer(self) -> None:
        async with SimulatorAdmin(self._address) as admin:
            await admin.fault(drop_answers=1)

    async def taken(self) -> list[Taken]:
        accepted = summary_of(self._server.state).accepted
        return [Taken(UUID(e.message_id), e.peer, e.text) for entries in accepted.values() for e in entries]

    async def inject(self, text: str) -> None:
        async with SimulatorAdmin(self._address) as admin:
            await admin.inject(self._platform.value, "acc", "someone", text)

    async def unconfirmed(self) -> int:
        return summary_of(self._server.state).unacked


@asynccontextmanager
async def simulator(folder: Path, platform: Platform) -> AsyncIterator[SimulatorHarness]:
    server = SimulatorServer(folder / "ledger.jsonl", BEHAVIOUR, secret=SECRET.decode())
    address = await server.start()
    try:
        yield SimulatorHarness(server, address, platform, await unused_port())
    finally:
        await server.close()
