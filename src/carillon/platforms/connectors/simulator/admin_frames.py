"""What tests and demos may ask of the simulator: its ledger, an inbound message, a fault."""

from collections.abc import Callable, Mapping, Sized
from dataclasses import asdict, dataclass, fields
from typing import Protocol

from .connection import Connection, need
from .protocol import Frame, FrameError
from .state import AccountRecord, LedgerState, Ref

PART = 500
SANCTIONS = ("banned", "restricted", "signed_out")


@dataclass(slots=True)
class Faults:
    """What is broken at the moment.

    Attributes:
        refuse_connects: A connection that says hello is broken; sessions that are open stay.
        outage: The same, and sends are neither taken nor answered.
        drop_answers: So many of the next accepted sends break the connection instead of being answered.
        delay: Seconds added to every answer to a send.
    """

    refuse_connects: bool = False
    outage: bool = False
    drop_answers: int = 0
    delay: float = 0.0

    def take_drop(self) -> bool:
        """Whether this answer is to be dropped; counts down."""
        if self.drop_answers <= 0:
            return False
        self.drop_answers -= 1
        return True


class Controlled(Protocol):
    """The server, as far as it is controlled."""

    faults: Faults

    @property
    def state(self) -> LedgerState:
        """Everything recorded."""
        ...

    @property
    def agenda(self) -> Sized:
        """The updates still to come."""
        ...

    @property
    def sessions(self) -> Mapping[Ref, Connection]:
        """The open session of each account."""
        ...

    def tell(self, account: AccountRecord, body: Frame, *, stop: bool = False) -> None:
        """Append an update to the account's log."""
        ...

    def set_state(self, account: AccountRecord, state: str, code: str) -> None:
        """Put the account into another state."""
        ...

    def flood(self, account: AccountRecord, seconds: float) -> None:
        """Let the account wait from now on."""
        ...


class AdminFrames:
    """The operations `ledger`, `inject`, `fault`, `quiesce`, `revive`, `sanction` and `flood`."""

    def __init__(self, server: Controlled) -> None:
        """Create them for a server."""
        self._server = server
        self.ops: dict[str, Callable[[Connection, Frame], None]] = {
            "ledger": self._ledger,
            "inject": self._inject,
            "fault": self._fault,
            "quiesce": self._quiesce,
            "revive": self._revive,
            "sanction": self._sanction,
            "flood": self._flood,
        }

    def _account(self, frame: Frame) -> AccountRecord:
        names = (need(frame, "platform", str), need(frame, "account", str))
        return self._server.state.account(*names)

    def _ledger(self, connection: Connection, frame: Frame) -> None:
        """Every accepted message in parts, then the counters."""
        state = self._server.state
        for start in range(0, len(state.entries), PART):
            part = [asdict(entry) for entry in state.entries[start : start + PART]]
            connection.emit({"r": frame.get("r"), "part": part})
        duplicates = sum(count - 1 for count in state.counts.values())
        counters = {"accepted": len(state.entries), "duplicates": duplicates, **state.totals}
        connection.answer(frame, {**counters, "to_opted_out": len(state.to_opted_out)})

    def _inject(self, connection: Connection, frame: Frame) -> None:
        """Someone writes to the account; with `stop` we must count them as opted out once we confirmed it."""
        account, chat = self._account(frame), need(frame, "chat", str)
        platform_id = f"in.{account.address}.{account.seq + 1}"
        body = {"kind": "message", "chat": chat, "sender": chat, "pid": platform_id, "name": None}
        body |= {"text": need(frame, "text", str), "reply_to": None}
        self._server.tell(account, body, stop=frame.get("stop") is True)
        connection.answer(frame, {"platform_id": platform_id})

    def _fault(self, connection: Connection, frame: Frame) -> None:
        """Set some of the faults; `drop_sessions` breaks every session once."""
        faults = self._server.faults
        known = {spec.name: getattr(faults, spec.name) for spec in fields(faults)}
        for name in frame.keys() - {"r", "op", "drop_sessions"}:
            if name not in known:
                raise FrameError("no such fault")
            setattr(faults, name, need(frame, name, type(known[name])))
        if frame.get("drop_sessions") is True or faults.outage:
            for session in list(self._server.sessions.values()):
                session.abort()
        connection.answer(frame, asdict(faults))

    def _quiesce(self, connection: Connection, frame: Frame) -> None:
        """How many updates are still to come, and how many we have not confirmed."""
        accounts = self._server.state.accounts.values()
        unacked = sum(len(account.unacked) for account in accounts)
        connection.answer(frame, {"pending": len(self._server.agenda), "unacked": unacked})

    def _revive(self, connection: Connection, frame: Frame) -> None:
        """The account's owner signed in again, or its ban was lifted."""
        self._server.set_state(self._account(frame), "online", "")
        connection.answer(frame, {})

    def _sanction(self, connection: Connection, frame: Frame) -> None:
        """Ban or restrict the account, or destroy its session as if its key had been used from two places."""
        account, state, code = self._account(frame), need(frame, "state", str), need(frame, "code", str)
        if state not in SANCTIONS:
            raise FrameError("no such sanction")
        self._server.set_state(account, state, code)
        session = self._server.sessions.get((account.platform, account.address))
        if state == "signed_out" and session is not None:
            session.gone(code, "The platform destroyed this session; sign in again.")
        connection.answer(frame, {})

    def _flood(self, connection: Connection, frame: Frame) -> None:
        """Ask the account to wait, as FLOOD_WAIT does; 0 seconds end a wait."""
        self._server.flood(self._account(frame), need(frame, "seconds", float))
        connection.answer(frame, {})
