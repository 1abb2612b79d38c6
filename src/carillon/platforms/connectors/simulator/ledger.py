"""The simulator's ledger on disk: JSON lines, written before anything is answered; and its reader."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .protocol import Frame, FrameError, decode, encode
from .state import Entry, LateSend, LedgerState


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """What the platform took, to be compared with our own ledger.

    Attributes:
        accepted: The accepted copies by message id (ours): exactly one each, if all is well.
        duplicates: The message ids among them that were accepted more than once.
        opt_out_acked_at: When we confirmed a person's stop or block, by (platform, peer), in epoch seconds.
        to_opted_out: Messages accepted after that.
        resends: Second sends that the platform recognised and dropped.
        double_sessions: Times that two sessions of one account were open at once.
        replies: Inbound messages told, `stops` those of them that ask us to stop.
        stops: See there.
        blocks: Blocks told.
        floods: Times the platform told us to wait.
        unacked: Updates told or due to be told that we have not confirmed.
    """

    accepted: dict[str, tuple[Entry, ...]]
    duplicates: tuple[str, ...]
    opt_out_acked_at: dict[tuple[str, str], float]
    to_opted_out: tuple[LateSend, ...]
    resends: int
    double_sessions: int
    replies: int
    stops: int
    blocks: int
    floods: int
    unacked: int


class Ledger:
    """The file, open for appending, and the state that its records amount to."""

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        """Open or create the file and replay it; a record cut off by a crash is removed."""
        self.state = LedgerState()
        whole = 0
        for record, end in _records(path):
            self.state.apply(record)
            whole = end
        self._fsync = fsync
        self._buffer: list[bytes] = []
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, whole)

    def append(self, record: Frame) -> None:
        """Apply a record; it is on disk after the next `flush`."""
        self._buffer.append(encode(record))
        self.state.apply(record)

    def flush(self) -> None:
        """Write what was appended: it survives the death of this process (with `fsync`, a power cut)."""
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        while data:
            # Kept until it is written: a full disk must not make the file say less than the state.
            self._buffer = [data]
            data = data[os.write(self._file, data) :]
        self._buffer.clear()
        if self._fsync:
            os.fsync(self._file)

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        os.close(self._file)


def read_ledger(path: Path) -> LedgerSummary:
    """What the ledger at `path` says; the simulator may be running."""
    state = LedgerState()
    for record, _ in _records(path):
        state.apply(record)
    return summary_of(state)


def summary_of(state: LedgerState) -> LedgerSummary:
    """The state in the form in which it is compared."""
    accepted: dict[str, tuple[Entry, ...]] = {}
    for entry in state.entries:
        accepted[entry.message_id] = (*accepted.get(entry.message_id, ()), entry)
    return LedgerSummary(
        accepted=accepted,
        duplicates=tuple(name for name, count in state.counts.items() if count > 1),
        opt_out_acked_at=dict(state.opted_out),
        to_opted_out=tuple(state.to_opted_out),
        resends=state.totals["resends"],
        double_sessions=state.totals["double_session"],
        replies=state.totals["replies"],
        stops=state.totals["stops"],
        blocks=state.totals["blocks"],
        floods=state.totals["floods"],
        unacked=sum(len(account.unacked) for account in state.accounts.values()),
    )


def _records(path: Path) -> Iterator[tuple[Frame, int]]:
    """Every whole record with the offset of its end; an unfinished last line is left out."""
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            try:
                yield decode(line), end
            except FrameError as error:
                raise FrameError(f"{path.name}: the record that ends at byte {end} is damaged") from error
