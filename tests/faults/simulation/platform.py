"""The platform: it keeps its own ledger of what it accepted, and repeats what it tells until it is acknowledged."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from carillon.platforms.connectors.errors import (
    AccountError,
    FailureClass,
    Flooded,
    Rejected,
)
from carillon.platforms.connectors.port import (
    Accepted,
    AccountState,
    Outbound,
    Status,
    StatusUpdate,
    Update,
)

from .loop import Life, Process
from .nemesis import SendFate

if TYPE_CHECKING:
    from .connector import SimSession
    from .world import World

SECRET = b"simulated"
NOTICES = 10.0
"""Seconds after which a process that was stopped must have closed its sockets."""


@dataclass(frozen=True)
class Taken:
    """A message the platform accepted: a line of its ledger."""

    account: UUID
    message: Outbound
    platform_id: str
    at: float
    process: str


@dataclass(eq=False)
class Pending:
    """Something the platform tells us until we acknowledge it."""

    update: Update
    acknowledged: bool = False


@dataclass(eq=False)
class PlatformAccount:
    """An account as the platform knows it."""

    id: UUID
    deduplicates: bool
    state: AccountState = AccountState.ONLINE
    removed: bool = False
    known: dict[tuple[str, int], str] = field(default_factory=dict)
    told: list[Pending] = field(default_factory=list)
    sessions: list["SimSession"] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def untold(self) -> list[Pending]:
        """What is not acknowledged yet."""
        return [each for each in self.told if not each.acknowledged]


class Platform:
    """Both flavours: one de-duplicates and pushes over the session, the other neither; it calls us."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.accounts: dict[UUID, PlatformAccount] = {}
        self.ledger: list[Taken] = []

    def take(self, account: PlatformAccount, message: Outbound, fate: SendFate, process: str) -> Accepted:
        """A send arrives.

        Raises:
            SendError: The platform refuses it; certainly not accepted.
        """
        self._refuse(account, message, fate)
        known = account.known.get((message.peer, message.key)) if account.deduplicates else None
        if known is None:
            known = f"{len(self.ledger)}@{account.id.hex[-4:]}"
            account.known[message.peer, message.key] = known
            taken = Taken(account.id, message, known, self.world.loop.time(), process)
            self.ledger.append(taken)
            self.world.oracle.taken(taken)
            self._report(account, taken)
        return Accepted(known, self.world.true_time())

    def _refuse(self, account: PlatformAccount, message: Outbound, fate: SendFate) -> None:
        draw = self.world.nemesis.draw
        if account.state is not AccountState.ONLINE:
            raise AccountError("Not this account.", state=account.state)
        match fate.what:
            case "flood":
                raise Flooded("Slowly.", retry_after=draw.choice((1.0, 4.0, 15.0)), only_peer=draw.random() < 0.4)
            case "reject":
                raise Rejected("No.", failure=FailureClass.RECIPIENT, platform_code="131026")
            case "reject_as_opt_out":
                self.world.oracle.refused_for_good(message)
                raise Rejected("Stop.", failure=FailureClass.BLOCKED, platform_code="131050", opt_out=True)
            case "account_refused":
                account.state = draw.choice((AccountState.BANNED, AccountState.SIGNED_OUT, AccountState.RESTRICTED))
                self.world.later(draw.choice((10.0, 30.0)), self._reinstate, account)
                raise AccountError("Not this account.", state=account.state)

    def _reinstate(self, account: PlatformAccount) -> None:
        account.state = AccountState.ONLINE

    def _report(self, account: PlatformAccount, taken: Taken) -> None:
        """Statuses of an accepted message: late, some of them never, in any order."""
        draw = self.world.nemesis.draw
        for status in draw.choice(
            (
                (),
                (Status.DELIVERED,),
                (Status.DELIVERED, Status.READ),
                (Status.READ,),
                (Status.SENT,),
                (Status.FAILED,) if draw.random() < 0.2 else (Status.SENT, Status.DELIVERED),
            )
        ):
            names = draw.choice(("both", "ours", "theirs"))
            update = StatusUpdate(
                status=status,
                at=self.world.true_time(),
                message_id=None if names == "theirs" else taken.message.id,
                platform_id=None if names == "ours" else taken.platform_id,
                error_class="recipient" if status is Status.FAILED else None,
                error_text="It did not arrive." if status is Status.FAILED else None,
            )
            self.world.later(draw.choice((0.0, 0.02, 0.3, 3.0, 12.0)), self.tell, account, update)

    def tell(self, account: PlatformAccount, update: Update) -> None:
        """Something to tell about the account."""
        pending = Pending(update)
        account.told.append(pending)
        if account.deduplicates:
            account.news.set()
        else:
            self.world.post(account, pending)

    def opened(self, session: "SimSession", *, knowingly: bool) -> None:
        """Another session of the account: the platform closes the one before.

        A process that was stopped in the middle of connecting goes on connecting: no lease can prevent that, since
        what it does next was decided before.
        """
        account = session.account
        for other in list(account.sessions):
            noticing = self.world.loop.time() - other.process.thawed_at < NOTICES
            if other.process.life is Life.RUNNING and knowingly and not noticing:
                self.world.oracle.two_sessions(other.process, session.process, account.id)
            other.conflict()
        account.sessions = [session]

    def gone(self, process: Process) -> None:
        """The sockets of a dead process close."""
        for account in self.accounts.values():
            account.sessions = [each for each in account.sessions if each.process is not process]
