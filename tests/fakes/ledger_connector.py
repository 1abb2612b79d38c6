"""A platform inside the process: accepts everything, keeps its own ledger, and fails as a test tells it to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from carillon.platforms.connectors.port import (
    Accepted,
    AccountConfig,
    Capabilities,
    Limits,
    Outbound,
    Rate,
    UpdateSink,
)

FAST = Limits(account=Rate(1_000_000, 1.0, 1_000_000))


@dataclass
class LedgerSession:
    """One open account."""

    connector: "LedgerConnector"
    account: AccountConfig
    sink: UpdateSink
    closed: bool = False

    async def send(self, message: Outbound) -> Accepted:
        platform_id = self.connector.take(self.account, message)
        return Accepted(platform_id, datetime.now(UTC))

    async def close(self) -> None:
        self.closed = True


@dataclass
class LedgerConnector:
    """Remembers what it accepted, by (account, peer, key), as Telegram does; without `deduplicates` it forgets."""

    name: str = "ledger"
    deduplicates: bool = True
    limits_of_accounts: Limits = FAST
    before: Callable[[Outbound], None] = lambda _message: None
    after: Callable[[Outbound], None] = lambda _message: None
    accepted: list[Outbound] = field(default_factory=list)
    sessions: list[LedgerSession] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(deduplicates=self.deduplicates)

    def limits(self, _account: AccountConfig) -> Limits:
        return self.limits_of_accounts

    async def open(self, account: AccountConfig, sink: UpdateSink) -> LedgerSession:
        session = LedgerSession(self, account, sink)
        self.sessions.append(session)
        return session

    def take(self, account: AccountConfig, message: Outbound) -> str:
        """Accept; `before` may refuse, `after` may lose the answer."""
        self.before(message)
        known = {(m.peer, m.key): index for index, m in enumerate(self.accepted)}
        index = known.get((message.peer, message.key)) if self.deduplicates else None
        if index is None:
            index = len(self.accepted)
            self.accepted.append(message)
        self.after(message)
        return f"{account.id}:{index}"

    def texts(self) -> list[str]:
        return [message.text for message in self.accepted]
