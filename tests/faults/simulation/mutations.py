"""Bugs to plant, each of which the simulation must find: who changes the code they are planted in moves them along.

Each says what it replaces and fails loudly if that is not there.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from carillon.audience.consents import api as consents
from carillon.audience.consents import opt_out, standing
from carillon.audience.consents import repository as consents_repository
from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.errors import NotSent, Rejected, Uncertain
from carillon.platforms.delivery import (
    dispatcher,
    distrust,
    holding,
    leases,
    ledger,
    outgoing,
    reading,
    repository,
    statuses,
    wire,
    worker,
)
from carillon.storage.database import Tx

Plant = Callable[[ExitStack], None]


def _replace(stack: ExitStack, module: Any, name: str, old: str, new: str) -> None:
    """Replace a part of a constant SQL statement."""
    text = getattr(module, name)
    if old not in text:
        message = f"{module.__name__}.{name} does not hold {old!r} any more: move the planted bug"
        raise LookupError(message)
    stack.enter_context(patch.object(module, name, text.replace(old, new)))


def _instead(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    """Replace a function; `patch` fails if there is none."""
    stack.enter_context(patch.object(owner, name, new))


def settle_without_epoch(stack: ExitStack) -> None:
    """A zombie's outcome overwrites what the new owner does."""
    for statement in ("_SETTLE", "_SETTLE_SENT"):
        _replace(stack, repository, statement, "AND m.epoch = o.epoch", "")


_LOCKS = (
    ("_LOCKED", " FOR SHARE"),
    ("_LOCKED_WITH_DATA", " FOR SHARE"),
    ("_ALONE", " FOR NO KEY UPDATE"),
    ("_ALONE_WITH_DATA", " FOR NO KEY UPDATE"),
)


def authorise_without_lock(stack: ExitStack) -> None:
    """The verdict is read without the lock that an opt-out must wait for."""
    for statement, lock in _LOCKS:
        _replace(stack, standing, statement, lock, "")


class _Unlocked:
    """A transaction, and its driver, whose statements lock nothing."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def driver(self) -> "_Unlocked":
        return _Unlocked(await self._real.driver())

    async def fetch(self, statement: str, *values: Any) -> Any:
        unlocked = statement
        for _, lock in _LOCKS:
            unlocked = unlocked.replace(lock, "")
        assert unlocked != statement, "verdicts are not locked like this any more: move the planted bug"
        return await self._real.fetch(unlocked, *values)


def authorise_on_an_old_verdict(stack: ExitStack) -> None:
    """The verdict is read first and the people are locked afterwards."""
    real = standing.lock_verdicts

    async def late(tx: Any, contact_ids: Any, **options: Any) -> Any:
        unlocked: Any = _Unlocked(tx)
        found = await real(unlocked, contact_ids, **options)
        await real(tx, contact_ids, **options)
        return found

    _instead(stack, consents, "lock_verdicts", late)


def retry_blindly(stack: ExitStack) -> None:
    """A lost reply is followed by a resend although the platform does not de-duplicate."""
    _instead(stack, distrust, "deduplicates", lambda _: True)


def retry_with_a_new_key(stack: ExitStack) -> None:
    """Every attempt bears a key of its own."""
    _instead(stack, wire, "message_key", lambda *_: uuid7().int >> 70)


def zombie_writes(stack: ExitStack) -> None:
    """A process goes on when its time has run out, and nothing checks whether it still owns the account."""

    async def held(_tx: Any, _worker: Any, wanted: Any) -> Any:
        return {lease.account_id for lease in wanted}

    _instead(stack, worker.DeliveryWorker, "may_write", lambda _: True)
    _instead(stack, leases, "held", held)


def acknowledge_before_commit(stack: ExitStack) -> None:
    """The platform is told that an update is safe before it is."""
    real = worker.LeasedSink.accept

    async def accept(self: Any, updates: Any, state: Any = None) -> None:
        async def lazily() -> None:
            try:
                await real(self, updates, state)
            except Exception:  # noqa: BLE001 - that is the bug
                return

        asyncio.get_running_loop().create_task(lazily())

    _instead(stack, worker.LeasedSink, "accept", accept)


def forget_recovery(stack: ExitStack) -> None:
    """What an earlier owner left in flight is nobody's business."""

    async def recover(*_: Any, **__: Any) -> list[Any]:
        return []

    _instead(stack, ledger, "recover", recover)


def statuses_in_any_order(stack: ExitStack) -> None:
    """The last status wins, not the best."""
    _replace(stack, statuses, "_APPLY", "WHEN n.rank > k.rank THEN n.state", "WHEN n.rank > 0 THEN n.state")


def stale_authorisation(stack: ExitStack) -> None:
    """An authorisation is good for ever."""
    _instead(stack, wire, "FRESH", 1e9)


def forget_a_lost_authorisation(stack: ExitStack) -> None:
    """An authorisation whose answer was lost is taken for one that never was (found by this simulation)."""

    def take_back(self: Any, rows: Any, _: Any) -> None:
        for row in rows:
            self._forget(row)

    _instead(stack, dispatcher.Dispatcher, "_take_back", take_back)


def keep_accounts_unknowingly(stack: ExitStack) -> None:
    """A claim whose answer was lost keeps its account from everybody (found by this simulation)."""

    async def disown(*_: Any) -> None:
        return

    _instead(stack, leases, "disown", disown)


def lose_crossing_statuses(stack: ExitStack) -> None:
    """A status that crosses the settlement of its message is never merged (found by this simulation)."""

    async def merge_late(_: Any) -> None:
        return

    _instead(stack, statuses, "merge_late", merge_late)


def refused_resend_is_a_failure(stack: ExitStack) -> None:
    """A resend that is refused fails the message, though the first attempt arrived (found by this simulation)."""
    real = wire._judge

    def judge(ready: Any, error: Any, *, deduplicates: bool) -> Any:
        if isinstance(error, Rejected):
            return wire.Result(wire._failed(ready, error), error)
        return real(ready, error, deduplicates=deduplicates)

    _instead(stack, wire, "_judge", judge)


def uncertain_is_not_sent(stack: ExitStack) -> None:
    """A lost reply counts as if the platform had not got the message."""
    real = wire._judge

    def judge(ready: Any, error: Any, *, deduplicates: bool) -> Any:
        if isinstance(error, Uncertain):
            error = NotSent()
        return real(ready, error, deduplicates=deduplicates)

    _instead(stack, wire, "_judge", judge)


def believe_the_senders_clock(stack: ExitStack) -> None:
    """Quiet hours and waits go by the clock of whoever sends (found by this simulation)."""

    async def clock(_: Any) -> Any:
        return SystemClock().now()

    _instead(stack, Tx, "clock", clock)


def due_by_the_callers_clock(stack: ExitStack) -> None:
    """A direct message is due by the clock of whoever took it (found by this simulation)."""
    _instead(stack, outgoing, "func", SimpleNamespace(clock_timestamp=lambda: SystemClock().now()))


def no_room_for_a_jump_of_the_database(stack: ExitStack) -> None:
    """A lease is free for others before its holder is sure to have stopped, if the database's clock is set."""
    _instead(stack, leases, "GRACE", -12.0)


def resend_at_night(stack: ExitStack) -> None:
    """What was interrupted is sent again whatever the hour (found by this simulation)."""

    async def never(*_: Any) -> None:
        return

    _instead(stack, ledger, "quiet_until", never)


def send_at_night(stack: ExitStack) -> None:
    """Quiet hours are looked at when a campaign is planned, not when it is sent."""
    _instead(stack, ledger._Batch, "_quiet_until", lambda *_: None)


def count_without_lock(stack: ExitStack) -> None:
    """Two accounts count at the same moment what a person got (found by this simulation)."""
    real = standing.lock_verdicts

    async def shared(*given: Any, alone: bool = False, **options: Any) -> Any:
        return await real(*given, **options)

    _instead(stack, consents, "lock_verdicts", shared)


def count_without_the_batch(stack: ExitStack) -> None:
    """Two messages to a person in one batch do not count each other (found by this simulation)."""
    _instead(stack, ledger._Batch, "_admit", lambda self, row: self.admission.admit(row.account_id, row.contact_id))


def forget_who_was_written_to(stack: ExitStack) -> None:
    """A new owner of an account does not know whom the last one wrote to today."""

    async def load(*_: Any) -> None:
        return

    _instead(stack, ledger, "load", load)


def start_renews_consents(stack: ExitStack) -> None:
    """Whoever says START agrees to everything."""
    real = consents.opt_in

    async def opt_in(tx: Any, vault: Any, contact_id: Any, **options: Any) -> Any:
        granted = {"marketing": {"*": {"status": "granted", "until": None}}}
        await consents_repository.store_projections(tx, [(contact_id, granted)])
        return await real(tx, vault, contact_id, **options)

    _instead(stack, consents, "opt_in", opt_in)


def start_lifts_a_later_stop(stack: ExitStack) -> None:
    """The word that comes last counts, not the one that was said last (found by this simulation)."""
    _instead(stack, opt_out, "Source", SimpleNamespace(MESSAGE=None))


def resend_without_lock(stack: ExitStack) -> None:
    """Of two who decide to send a message again, neither sees the other (found by this simulation)."""
    real = reading.get

    async def get(tx: Any, message_id: Any, *, lock: bool = False) -> Any:
        return await real(tx, message_id)

    _instead(stack, outgoing, "get", get)


def pass_closed_gates(stack: ExitStack) -> None:
    """What was read before a campaign was paused or cancelled still goes out."""

    async def running_lanes(_: Any, lanes: Any) -> Any:
        return set(lanes)

    _instead(stack, repository, "running_lanes", running_lanes)


def keep_what_a_removed_account_left(stack: ExitStack) -> None:
    """The messages of a removed account wait for ever."""

    async def nothing(_: Any) -> None:
        return

    _instead(stack, holding, "_drop_removed", nothing)


def never_leave_a_stopped_account(stack: ExitStack) -> None:
    """The owner of an account goes on when it is parked or removed."""

    async def unwanted(*_: Any) -> Any:
        return set()

    _instead(stack, leases, "unwanted", unwanted)


@dataclass(frozen=True)
class Bug:
    """A bug to plant.

    Attributes:
        plant: Puts it in.
        finds: What the broken promise says, one of these.
        focus: The faults that bring it out.
    """

    plant: Plant
    finds: tuple[str, ...]
    focus: tuple[str, ...] = ()


_STUCK = "after 240.0 s without faults"
_TWO = "has it open"
_CAP = "and the cap is"
_BUGS = (
    Bug(settle_without_epoch, ("which another owner has taken over",), ("freeze_at",)),
    Bug(authorise_without_lock, ("after the opt-out committed",), ("opt_out_race",)),
    Bug(authorise_on_an_old_verdict, ("after the opt-out committed",), ("opt_out_race",)),
    Bug(retry_blindly, ("was delivered",), ("reply_lost",)),
    Bug(retry_with_a_new_key, ("was delivered",), ("reply_lost",)),
    Bug(zombie_writes, ("does not own the account", "is sending", "has it open"), ("freeze_at",)),
    Bug(acknowledge_before_commit, ("was acknowledged",), ("lost_before", "crash")),
    Bug(forget_recovery, ("is sending",), ("crash_at",)),
    Bug(statuses_in_any_order, ("was acknowledged", "went back"), ()),
    Bug(stale_authorisation, ("after the person opted out", "after it was authorised"), ("opt_out_race",)),
    Bug(forget_a_lost_authorisation, ("is sending",), ("lost_after",)),
    Bug(keep_accounts_unknowingly, (_STUCK,), ("lost_after", "lost_before")),
    Bug(lose_crossing_statuses, ("was acknowledged",), ("status_race",)),
    Bug(refused_resend_is_a_failure, ("but the platform has it",), ("reply_lost", "reject")),
    Bug(uncertain_is_not_sent, ("was delivered",), ("reply_lost",)),
    Bug(believe_the_senders_clock, ("quiet hours", _STUCK), ("clock_jump", "flood")),
    Bug(due_by_the_callers_clock, (_STUCK,), ("clock_jump",)),
    Bug(no_room_for_a_jump_of_the_database, (_TWO,), ("database_clock_jump", "database_partition")),
    Bug(send_at_night, ("quiet hours",)),
    Bug(resend_at_night, ("quiet hours",), ("reply_lost",)),
    Bug(count_without_lock, (_CAP,)),
    Bug(count_without_the_batch, (_CAP,)),
    Bug(forget_who_was_written_to, ("people a day",), ("crash",)),
    Bug(start_renews_consents, ("does not agree to marketing",), ("opt_out", "withdraw")),
    Bug(start_lifts_a_later_stop, ("said STOP last",), ("opt_out", "updates_reordered")),
    Bug(resend_without_lock, ("was sent again",), ("resend", "reply_lost")),
    Bug(pass_closed_gates, ("although its campaign is",), ("pause_lane", "close_lane")),
    Bug(keep_what_a_removed_account_left, (_STUCK,), ("remove_account",)),
    Bug(never_leave_a_stopped_account, (_STUCK, "after its account was stopped"), ("remove_account", "park")),
)
BUGS = {bug.plant.__name__: bug for bug in _BUGS}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The product with this bug, or as it is."""
    with ExitStack() as stack:
        if name is not None:
            BUGS[name].plant(stack)
        yield
