"""The simulated platform: sessions, sends and updates over the ledger."""

import asyncio
import time
from pathlib import Path
from typing import Any

from .admin_frames import AdminFrames, Faults
from .agenda import Agenda
from .behaviour import Behaviour
from .connection import Connection, need
from .fate import Planned, peer_fate, planned_updates, send_fate
from .ledger import Ledger
from .protocol import MAX_TEXT, Frame, FrameError
from .state import AccountRecord, Entry, LedgerState, Ref

PLATFORMS = ("telegram", "whatsapp")
IN_USE_SECONDS = 25.0
"""A Telegram session that was heard of within this time is in use: twice and a half the time between our pings."""
CODES: dict[str, dict[str, str]] = {
    "telegram": {
        "empty": "MESSAGE_EMPTY",
        "long": "MESSAGE_TOO_LONG",
        "bounce": "PEER_ID_INVALID",
        "blocked": "USER_IS_BLOCKED",
        "secret": "AUTH_KEY_UNREGISTERED",
        "banned": "USER_DEACTIVATED_BAN",
        "restricted": "PEER_FLOOD",
    },
    "whatsapp": {
        "empty": "100",
        "long": "100",
        "bounce": "131026",
        "blocked": "131050",
        "secret": "190",
        "banned": "131031",
        "restricted": "131048",
    },
}
REASONS = {
    "banned": "The platform banned this account.",
    "restricted": "The platform restricted this account after spam reports.",
    "signed_out": "The platform destroyed this session; sign in again.",
}


class SimulatorServer:
    """One simulated platform, both flavours at once; addresses of accounts are per flavour."""

    def __init__(
        self,
        ledger: Path,
        behaviour: Behaviour | None = None,
        *,
        speed: float = 1.0,
        fsync: bool = False,
        secret: str | None = None,
    ) -> None:
        """Open the ledger; with `secret`, a session must know it; `speed` divides every delay."""
        self.behaviour = behaviour or Behaviour()
        self.ledger = Ledger(ledger, fsync=fsync)
        self.faults = Faults()
        self.sessions: dict[Ref, Connection] = {}
        self.agenda: Agenda[tuple[Entry, int, Planned]] = Agenda(self._due)
        self._speed = speed
        self._secret = secret
        self._dirty: set[Ref] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._ops = {"hello": self._hello, "send": self._send, "ack": self._ack, "ping": self._ping}
        self._ops |= AdminFrames(self).ops

    @property
    def state(self) -> LedgerState:
        """Everything recorded."""
        return self.ledger.state

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> str:
        """Listen; returns the address as host:port. Updates that were due while we were down follow now."""
        for entry in self.state.entries:
            self._plan(entry, age=time.time() - entry.at)
        self._server = await asyncio.get_running_loop().create_server(self._connected, host, port)
        bound = self._server.sockets[0].getsockname()
        return f"{bound[0]}:{bound[1]}"

    async def close(self) -> None:
        """Stop listening, break every connection, close the ledger."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self.agenda.cancel()
        for connection in list(self._connections):
            connection.abort()
        while self._connections or self._dirty:  # noqa: ASYNC110 - asyncio offers no event for these
            await asyncio.sleep(0)
        self.ledger.close()

    def flush(self) -> None:
        """See `Host.flush`."""
        self.ledger.flush()

    def handle(self, connection: Connection, frame: Frame) -> None:
        """See `Host.handle`."""
        if connection.superseded:
            self._spoke_again(connection)
            return
        operation = self._ops.get(need(frame, "op", str))
        if operation is None:
            raise FrameError("no such op")
        operation(connection, frame)

    def lost(self, connection: Connection) -> None:
        """See `Host.lost`: the session is free at once."""
        self._connections.discard(connection)
        self._leave(connection)

    def tell(self, account: AccountRecord, body: Frame, *, stop: bool = False, of: str = "", index: int = 0) -> None:
        """Append an update to the account's log and push it to its session."""
        ref = (account.platform, account.address)
        record: Frame = {"t": "update", "at": time.time(), "platform": ref[0], "account": ref[1]}
        record |= {"seq": account.seq + 1, "u": body, "stop": stop, "of": of, "i": index}
        self.ledger.append(record)
        # Pushed when the present batch of sends or updates is through, many in one frame.
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._push_dirty)
        self._dirty.add(ref)

    def set_state(self, account: AccountRecord, state: str, code: str, *, double: bool = False) -> None:
        """Put the account into another state and tell its owner."""
        names = {"platform": account.platform, "account": account.address}
        self.ledger.append({"t": "account", **names, "state": state, "code": code, "double": double})
        if state != "online":
            body = {"kind": "account", "state": state, "reason": f"{REASONS[state]} ({code})"}
            self.tell(account, body)

    def flood(self, account: AccountRecord, seconds: float) -> None:
        """Let the whole account wait from now on; sends are refused until then."""
        record = {"t": "flood", "platform": account.platform, "account": account.address, "pair": False}
        self.ledger.append({**record, "peer": "", "key": 0, "until": time.time() + seconds})

    def _push_dirty(self) -> None:
        dirty, self._dirty = self._dirty, set()
        self.flush()
        for ref in dirty:
            session = self.sessions.get(ref)
            if session is not None:
                session.push()

    def _connected(self) -> Connection:
        connection = Connection(self)
        self._connections.add(connection)
        return connection

    def _leave(self, connection: Connection) -> None:
        """Free the session, if it is this connection's."""
        account, connection.account = connection.account, None
        if account is None:
            return
        ref = (account.platform, account.address)
        if self.sessions.get(ref) is connection:
            del self.sessions[ref]

    def _hello(self, connection: Connection, frame: Frame) -> None:
        """Open the one session of an account."""
        if self.faults.refuse_connects or self.faults.outage:
            connection.abort()
            return
        platform = need(frame, "platform", str)
        if platform not in PLATFORMS or connection.account is not None:
            raise FrameError("hello takes a platform, once")
        account = self.state.account(platform, need(frame, "account", str))
        if self._secret is not None and need(frame, "secret", str) != self._secret:
            text = "The platform does not know this session; sign in again."
            err = self._account_error("signed_out", CODES[platform]["secret"], text)
            connection.answer(frame, err=err)
            return
        if account.state in ("banned", "signed_out"):
            connection.answer(frame, err=self._account_error(account.state, account.code))
            return
        if not self._take_session(connection, account):
            connection.answer(frame, err=self._account_error(account.state, account.code))
            return
        self._acknowledge(account, need(frame, "acked", int))
        connection.answer(frame, {"acked": account.acked})
        connection.push()

    def _take_session(self, connection: Connection, account: AccountRecord) -> bool:
        """Make this connection the account's session, whatever that does to another one."""
        ref = (account.platform, account.address)
        other = self.sessions.get(ref)
        if other is not None and account.platform == "telegram" and other.silence() > IN_USE_SECONDS:
            # A peer that does not even ping is not using its key; should it ever speak again, it is.
            other.superseded = True
        elif other is not None:
            self._leave(other)
            if account.platform == "telegram":
                self._destroy(account, other)
                return False
            self.set_state(account, account.state, account.code, double=True)
            other.gone("conflict", "Another connection opened this account.")
        connection.account = account
        connection.pushed = account.acked
        self.sessions[ref] = connection
        return True

    def _destroy(self, account: AccountRecord, other: Connection) -> None:
        """The key was used from two places at once: it is worth nothing any more."""
        self.set_state(account, "signed_out", "AUTH_KEY_DUPLICATED", double=True)
        other.gone("AUTH_KEY_DUPLICATED", REASONS["signed_out"])

    def _spoke_again(self, connection: Connection) -> None:
        """A connection that another one had followed says something: now both use the key."""
        account = connection.account
        assert account is not None
        current = self.sessions.get((account.platform, account.address))
        self._leave(connection)
        if current is not None:
            self._leave(current)
            self._destroy(account, current)
        connection.gone("AUTH_KEY_DUPLICATED", REASONS["signed_out"])

    def _ping(self, connection: Connection, frame: Frame) -> None:
        """Someone is still there."""
        connection.answer(frame, {})

    def _send(self, connection: Connection, frame: Frame) -> None:
        """Take a message, or say why not."""
        account = connection.account
        if account is None:
            raise FrameError("hello first")
        if self.faults.outage:
            return
        peer, key, message_id = (
            need(frame, "peer", str),
            need(frame, "key", int),
            need(frame, "message_id", str),
        )
        text = need(frame, "text", str)
        known = self.state.by_key.get((f"{account.platform}:{account.address}", peer, key))
        if known is not None and account.platform == "telegram":
            self.ledger.append({"t": "resend", "id": message_id})
            connection.answer(frame, {"platform_id": known, "at": time.time()})
            return
        refusal = self._refusal(account, peer, key, text)
        delay = self.faults.delay
        if refusal is not None:
            connection.answer(frame, err=refusal, delay=delay)
            return
        entry = self._accept(account, peer, key, message_id, text)
        fate = send_fate(self.behaviour, account.address, peer, key)
        if (fate.answer_lost and known is None) or self.faults.take_drop():
            self.flush()
            connection.abort()
            return
        ok = {"platform_id": entry.platform_id, "at": entry.at}
        connection.answer(frame, ok, delay=delay + fate.answer_delay / self._speed)
        self._maybe_punish(account)

    def _refusal(self, account: AccountRecord, peer: str, key: int, text: str) -> Frame | None:
        """Why the platform does not take this message, if it does not."""
        if account.state != "online":
            return self._account_error(account.state, account.code)
        codes = CODES[account.platform]
        if not text or len(text) > MAX_TEXT:
            reason = "The message is empty." if not text else "The message is too long."
            return _rejection("content", codes["long" if text else "empty"], reason)
        person = peer_fate(self.behaviour, peer)
        if not person.exists:
            return _rejection("recipient", codes["bounce"], "There is no such person on the platform.")
        if person.refuses or peer in account.blocked_by:
            return _rejection("blocked", codes["blocked"], "The person blocked this account.", opt_out=True)
        return self._flood(account, peer, key)

    def _flood(self, account: AccountRecord, peer: str, key: int) -> Frame | None:
        """The wait that is running for this account or chat, or one that begins with this message."""
        now = time.time()
        for chat, until in (("", account.floods.get("", 0.0)), (peer, account.floods.get(peer, 0.0))):
            if until > now:
                return {"kind": "flood", "retry_after": until - now, "pair": bool(chat)}
        fate = send_fate(self.behaviour, account.address, peer, key)
        seconds = fate.flood or fate.pair_flood
        if not seconds or (peer, key) in account.flooded_keys:
            return None
        pair, wait = fate.flood is None, seconds / self._speed
        record = {"t": "flood", "platform": account.platform, "account": account.address, "pair": pair}
        self.ledger.append({**record, "peer": peer, "key": key, "until": now + wait})
        if not pair:
            reason = "The platform asked this account to wait."
            self.tell(account, {"kind": "account", "state": "flooded", "reason": reason, "retry_after": wait})
        return {"kind": "flood", "retry_after": wait, "pair": pair}

    def _accept(self, account: AccountRecord, peer: str, key: int, message_id: str, text: str) -> Entry:
        """Record the message and plan what follows from it."""
        state = self.state
        number = len(state.entries) + 1
        platform_id = str(1000 + number) if account.platform == "telegram" else f"wamid.{number:012X}"
        record = {"t": "accept", "at": time.time(), "platform": account.platform, "account": account.address}
        self.ledger.append({**record, "peer": peer, "key": key, "id": message_id, "pid": platform_id, "text": text})
        entry = state.entries[-1]
        self._plan(entry, age=0.0)
        return entry

    def _plan(self, entry: Entry, *, age: float) -> None:
        """Put on the agenda which of its updates have not been told; the message is `age` seconds old."""
        ids = {"message_id": entry.message_id, "platform_id": entry.platform_id}
        planned = planned_updates(self.behaviour, entry.account, entry.peer, entry.key, **ids)
        for index, plan in enumerate(planned):
            if not entry.emitted >> index & 1:
                self.agenda.add(plan.delay / self._speed - age, (entry, index, plan))

    def _due(self, items: list[tuple[Entry, int, Planned]]) -> None:
        for entry, index, plan in items:
            account = self.state.account(entry.platform, entry.account)
            self.tell(account, plan.update, stop=plan.stop, of=entry.platform_id, index=index)

    def _maybe_punish(self, account: AccountRecord) -> None:
        """Ban or restrict the account when its time has come."""
        rules = self.behaviour
        codes = CODES[account.platform]
        if account.address in rules.ban_accounts and 0 < rules.ban_after <= account.accepted:
            self.set_state(account, "banned", codes["banned"])
        elif account.address in rules.restrict_accounts and 0 < rules.restrict_after <= account.accepted:
            self.set_state(account, "restricted", codes["restricted"])

    def _ack(self, connection: Connection, frame: Frame) -> None:
        if connection.account is None:
            raise FrameError("hello first")
        self._acknowledge(connection.account, need(frame, "seq", int))
        connection.push()

    def _acknowledge(self, account: AccountRecord, seq: int) -> None:
        """Forget the updates up to `seq`: we have them."""
        if seq > account.seq:
            raise FrameError("acknowledges an update that was never told")
        if seq > account.acked:
            names = {"platform": account.platform, "account": account.address}
            self.ledger.append({"t": "ack", "at": time.time(), **names, "seq": seq})

    def _account_error(self, state: str, code: str, text: str | None = None) -> Frame:
        return {"kind": "account", "state": state, "code": code, "text": text or REASONS[state]}


def _rejection(failure: str, code: str, text: str, **more: Any) -> Frame:
    return {"kind": "rejected", "class": failure, "code": code, "text": text, **more}
