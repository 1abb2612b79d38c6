"""Connectors as nobody should write them: each does one thing wrong, for the accounts it is told to spoil."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from carillon.platforms.connectors.port import AccountConfig, Capabilities, Outbound, UpdateSink
from tests.fakes.ledger_connector import FAST

Send = Callable[["BadSession", Outbound], Any]
Open = Callable[[AccountConfig, UpdateSink], Awaitable[Any]]


@dataclass
class BadSession:
    """A session that does what it was made for."""

    connector: "BadConnector"
    account: AccountConfig
    sink: UpdateSink
    closes: int = 0

    def send(self, message: Outbound) -> Any:
        self.connector.attempts.append(message)
        return self.connector.on_send(self, message)

    async def close(self) -> None:
        self.closes += 1
        await self.connector.on_close()


async def nothing() -> None:
    """A close without fault."""


@dataclass
class BadConnector:
    """Behaves as its parts say; everything but the given parts is as it should be."""

    on_send: Send
    name: str = "bad"
    on_open: Open | None = None
    on_close: Callable[[], Awaitable[Any]] = nothing
    said: Any = field(default_factory=lambda: Capabilities(deduplicates=False))
    allowed: Any = FAST
    attempts: list[Outbound] = field(default_factory=list)
    sessions: list[BadSession] = field(default_factory=list)
    opens: int = 0

    @property
    def capabilities(self) -> Any:
        return self.said

    def limits(self, _account: AccountConfig) -> Any:
        return self.allowed() if callable(self.allowed) else self.allowed

    async def open(self, account: AccountConfig, sink: UpdateSink) -> Any:
        self.opens += 1
        if self.on_open is not None:
            return await self.on_open(account, sink)
        self.sessions.append(BadSession(self, account, sink))
        return self.sessions[-1]


async def hang(*_: Any) -> None:
    """Never come back."""
    await asyncio.Event().wait()


async def hang_stubbornly(*_: Any) -> None:
    """Never come back, and take no for an answer once."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(5)
