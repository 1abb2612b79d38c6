"""What the simulator knows: its ledger's records, replayed; shared by the server, its restart and every reader.

Records, one JSON object each, told apart by `t`:

- `accept`  {at, platform, account, peer, key, id, pid, text}: a message was taken (on "whatsapp" even twice)
- `resend`  {id}: a second send with a known key, answered with the first one's platform id
- `flood`   {platform, account, peer, key, pair, until}: the account, or with `pair` only that chat, must wait
- `account` {platform, account, state, code, double}: the account is banned, restricted or signed out
- `update`  {at, platform, account, seq, u, stop, of, i}: something we must be told; the planned update number `i`
  of the message with platform id `of`, if it is one
- `ack`     {at, platform, account, seq}: we confirmed every update up to seq
"""

from collections import Counter, deque
from dataclasses import dataclass, field

from .protocol import Frame

Ref = tuple[str, str]


@dataclass(slots=True)
class Entry:
    """One accepted message; `emitted` has a bit for each of its planned updates that has been told."""

    at: float
    platform: str
    account: str
    peer: str
    key: int
    message_id: str
    platform_id: str
    text: str
    emitted: int = 0


@dataclass(frozen=True, slots=True)
class ToldUpdate:
    """An update with its place in the account's log."""

    seq: int
    at: float
    body: Frame
    stop: bool


@dataclass(slots=True)
class AccountRecord:
    """One account; `unacked` is what we have not confirmed, `floods` the end of each wait by chat ("" is all)."""

    platform: str
    address: str
    state: str = "online"
    code: str = ""
    accepted: int = 0
    seq: int = 0
    acked: int = 0
    unacked: deque[ToldUpdate] = field(default_factory=deque)
    floods: dict[str, float] = field(default_factory=dict)
    flooded_keys: set[tuple[str, int]] = field(default_factory=set)
    blocked_by: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class LateSend:
    """A message accepted after we had confirmed that its recipient opted out, `seconds` later."""

    message_id: str
    platform: str
    account: str
    peer: str
    seconds: float


class LedgerState:
    """Everything in the ledger, indexed.

    Attributes:
        entries: Accepted messages in the order in which they were accepted.
        by_platform_id: The same.
        counts: How often each message id was accepted; more than once is a duplicate.
        opted_out: When we confirmed that a person opted out, by (platform, peer), in seconds since 1970.
        to_opted_out: Messages accepted after that.
        totals: `resends`, `floods`, `double_session`, `replies`, `stops`, `blocks`, `updates`.
    """

    def __init__(self) -> None:
        """Create the state of an empty ledger."""
        self.entries: list[Entry] = []
        self.by_platform_id: dict[str, Entry] = {}
        self.by_key: dict[tuple[str, str, int], str] = {}
        self.counts: Counter[str] = Counter()
        self.accounts: dict[Ref, AccountRecord] = {}
        self.opted_out: dict[Ref, float] = {}
        self.to_opted_out: list[LateSend] = []
        self.totals: Counter[str] = Counter()

    def account(self, platform: str, address: str) -> AccountRecord:
        """The account's record, new if need be."""
        ref = (platform, address)
        found = self.accounts.get(ref)
        if found is None:
            found = self.accounts[ref] = AccountRecord(platform, address)
        return found

    def apply(self, record: Frame) -> None:
        """Take in one record.

        Raises:
            KeyError: It lacks a field, or is of no known kind.
        """
        _APPLY[record["t"]](self, record)

    def _accept(self, record: Frame) -> None:
        platform, address, peer = record["platform"], record["account"], record["peer"]
        entry = Entry(record["at"], platform, address, peer, record["key"], record["id"], record["pid"], record["text"])
        self.entries.append(entry)
        self.by_platform_id[entry.platform_id] = entry
        self.by_key.setdefault((f"{platform}:{address}", peer, entry.key), entry.platform_id)
        self.counts[entry.message_id] += 1
        self.account(platform, address).accepted += 1
        stopped = self.opted_out.get((platform, peer))
        if stopped is not None:
            late = LateSend(entry.message_id, platform, address, peer, entry.at - stopped)
            self.to_opted_out.append(late)

    def _resend(self, _record: Frame) -> None:
        self.totals["resends"] += 1

    def _flood(self, record: Frame) -> None:
        account = self.account(record["platform"], record["account"])
        account.floods[record["peer"] if record["pair"] else ""] = record["until"]
        account.flooded_keys.add((record["peer"], record["key"]))
        self.totals["floods"] += 1

    def _account(self, record: Frame) -> None:
        account = self.account(record["platform"], record["account"])
        account.state, account.code = record["state"], record["code"]
        self.totals["double_session"] += record["double"]

    def _update(self, record: Frame) -> None:
        account, body = self.account(record["platform"], record["account"]), record["u"]
        account.seq = record["seq"]
        account.unacked.append(ToldUpdate(record["seq"], record["at"], body, record["stop"]))
        entry = self.by_platform_id.get(record["of"])
        if entry is not None:
            entry.emitted |= 1 << record["i"]
        if body["kind"] == "blocked":
            account.blocked_by.add(body["peer"])
        self.totals["updates"] += 1
        self.totals["blocks"] += body["kind"] == "blocked"
        self.totals["replies"] += body["kind"] == "message"
        self.totals["stops"] += record["stop"] and body["kind"] == "message"

    def _ack(self, record: Frame) -> None:
        account = self.account(record["platform"], record["account"])
        account.acked = record["seq"]
        while account.unacked and account.unacked[0].seq <= account.acked:
            told = account.unacked.popleft()
            if told.stop:
                person = told.body["peer"] if told.body["kind"] == "blocked" else told.body["sender"]
                self.opted_out.setdefault((account.platform, person), record["at"])


_APPLY = {
    "accept": LedgerState._accept,  # noqa: SLF001 - the table of the class above
    "resend": LedgerState._resend,  # noqa: SLF001
    "flood": LedgerState._flood,  # noqa: SLF001
    "account": LedgerState._account,  # noqa: SLF001
    "update": LedgerState._update,  # noqa: SLF001
    "ack": LedgerState._ack,  # noqa: SLF001
}
