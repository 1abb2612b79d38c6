"""What the conformance suite needs of a platform under test, and the sink it delivers to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.port import AccountConfig, Connector, Outbound, Update

SECRET = b"a-secret-nobody-may-see"


class ImpatientClock(SystemClock):
    """The real time, but back-off takes none."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@dataclass
class Sink:
    """Keeps what it accepts; while `trouble` holds errors, each call raises the next one."""

    kept: list[Update] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)
    calls: int = 0

    async def accept(self, updates: Sequence[Update], state: Mapping[str, bytes | None] | None = None) -> None:
        self.calls += 1
        if self.trouble:
            raise self.trouble.pop(0)
        self.kept.extend(updates)

    def of(self, kind: type[Update]) -> list[Update]:
        return [update for update in self.kept if isinstance(update, kind)]


@dataclass(frozen=True)
class Taken:
    """A message as the platform has it."""

    message_id: UUID
    peer: str
    text: str


class Harness(Protocol):
    """A platform under test."""

    connector: Connector
    pushes_updates: bool
    """It has a log of updates that it repeats until they are confirmed."""

    @property
    def port(self) -> int:
        """Where it listens."""
        ...

    def account(self) -> AccountConfig:
        """An account that works, with the secret `SECRET`."""
        ...

    def unreachable(self) -> tuple[Connector, AccountConfig]:
        """The same where nobody listens."""
        ...

    def refused_account(self) -> AccountConfig:
        """An account that cannot be opened."""
        ...

    def message(self, text: str = "hello") -> Outbound:
        """A message that will be accepted."""
        ...

    def flooded(self) -> Outbound:
        """A message that is told to wait."""
        ...

    def rejected(self) -> Outbound:
        """A message that is refused for good."""
        ...

    async def lose_next_answer(self) -> None:
        """The next message is accepted but the connection breaks."""
        ...

    async def taken(self) -> list[Taken]:
        """What was accepted, in order."""
        ...

    async def inject(self, text: str) -> None:
        """Someone writes to the account."""
        ...

    async def unconfirmed(self) -> int:
        """Updates that we have not confirmed."""
        ...


def outbound(peer: str, text: str, key: int) -> Outbound:
    return Outbound(id=uuid7(), key=key, peer=peer, text=text)


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait for a condition that other tasks bring about; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.005)


async def unused_port() -> int:
    """A port at which nobody listens."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
