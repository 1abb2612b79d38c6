"""Bugs to plant, each of which the simulation must find: who changes the code they are planted in moves them along.

Each says what it replaces and fails loudly if that is not there.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from carillon.audience.consents import api as consents
from carillon.audience.consents import standing
from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.errors import NotSent, Rejected, Uncertain
from carillon.platforms.delivery import dispatcher, distrust, leases, ledger, repository, statuses, wire, worker

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


def authorise_without_lock(stack: ExitStack) -> None:
    """The verdict is read without the lock that an opt-out must wait for."""
    for statement in ("_LOCKED", "_LOCKED_WITH_DATA"):
        _replace(stack, standing, statement, " FOR SHARE", "")


def authorise_on_an_old_verdict(stack: ExitStack) -> None:
    """The verdict is read first and the people are locked afterwards."""
    real = standing.lock_verdicts

    async def late(tx: Any, contact_ids: Any, **options: Any) -> Any:
        found = await real_without_lock(tx, contact_ids, **options)
        await real(tx, contact_ids, **options)
        return found

    async def real_without_lock(tx: Any, contact_ids: Any, **options: Any) -> Any:
        with ExitStack() as unlocked:
            authorise_without_lock(unlocked)
            return await real(tx, contact_ids, **options)

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
_BUGS = (
    Bug(settle_without_epoch, ("which another owner has taken over",), ("freeze_at",)),
    Bug(authorise_without_lock, ("after the opt-out committed",), ("opt_out_race",)),
    Bug(authorise_on_an_old_verdict, ("after the opt-out committed",), ("opt_out_race",)),
    Bug(retry_blindly, ("was delivered",), ("reply_lost",)),
    Bug(retry_with_a_new_key, ("was delivered",), ("reply_lost",)),
    Bug(zombie_writes, ("does not own the account", "is sending"), ("freeze_at",)),
    Bug(acknowledge_before_commit, ("was acknowledged",), ("lost_before", "crash")),
    Bug(forget_recovery, ("is sending",), ("crash_at",)),
    Bug(statuses_in_any_order, ("was acknowledged", "went back"), ()),
    Bug(stale_authorisation, ("after the person opted out",), ("opt_out_race",)),
    Bug(forget_a_lost_authorisation, ("is sending",), ("lost_after",)),
    Bug(keep_accounts_unknowingly, (_STUCK,), ("lost_after", "lost_before")),
    Bug(lose_crossing_statuses, ("was acknowledged",), ("status_race",)),
    Bug(refused_resend_is_a_failure, ("but the platform has it",), ("reply_lost", "reject")),
    Bug(uncertain_is_not_sent, ("was delivered",), ("reply_lost",)),
)
BUGS = {bug.plant.__name__: bug for bug in _BUGS}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The product with this bug, or as it is."""
    with ExitStack() as stack:
        if name is not None:
            BUGS[name].plant(stack)
        yield
