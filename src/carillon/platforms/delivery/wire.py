"""One attempt on the wire, and what becomes of it: the only place where a connector's `send` is called."""

from typing import NamedTuple

from carillon.kernel.clock import Clock
from carillon.ops import crash_points
from carillon.platforms.connectors.errors import (
    AccountError,
    Flooded,
    LeaseLost,
    NotSent,
    Rejected,
    SendError,
    Uncertain,
)
from carillon.platforms.connectors.port import AccountState, Outbound, Session

from . import distrust
from .contracts import MessageState
from .keys import message_key
from .ledger import Ready
from .repository import Outcome

FRESH = 1.0
"""Seconds for which an authorisation is good; then it is made anew (DELIVERY.md, promise 3)."""

PATIENCE = 60.0
"""Seconds a connector may take for one message before its outcome counts as uncertain."""

_BACKOFF = (2, 5, 15, 60, 300)


class Result(NamedTuple):
    """How an attempt ended.

    Attributes:
        outcome: To settle; None when the message must be sent again with the same key, or is no longer ours.
        error: What the connector raised, for those who must react to it.
        again: Send it again with the same key, after a recheck.
    """

    outcome: Outcome | None
    error: SendError | None = None
    again: bool = False


async def attempt(session: Session, ready: Ready, *, clock: Clock, authorised_at: float, deduplicates: bool) -> Result:
    """Write one authorised message to the platform; never raises but for cancellation.

    Whoever calls it cancels it after `PATIENCE` and goes on with `unanswered`.

    Args:
        session: Of the message's account.
        ready: What to send.
        clock: Times freshness.
        authorised_at: `clock.boottime()` before the authorisation began.
        deduplicates: The platform drops a second message with the same key.
    """
    row = ready.row
    if clock.boottime() - authorised_at > FRESH:
        return Result(None, again=True) if row.resend else Result(put_back(ready))
    key = message_key(row.tenant_id, row.id)
    outbound = Outbound(row.id, key, row.peer, ready.text, row.reply_to, row.resend)
    try:
        accepted = await distrust.sent(session, outbound, clock.now)
    except SendError as error:
        return _judge(ready, error, deduplicates=deduplicates)
    crash_points.reached("write.accepted")
    return Result(Outcome(row.id, ready.epoch, MessageState.SENT, None, None, accepted.platform_id, accepted.at))


def unanswered(ready: Ready, *, deduplicates: bool) -> Result:
    """What an attempt means whose answer did not come in time."""
    return _judge(ready, Uncertain("The platform did not answer in time."), deduplicates=deduplicates)


def _judge(ready: Ready, error: SendError, *, deduplicates: bool) -> Result:  # noqa: PLR0911 - a table
    """Which outcome an error means; see the tree in `connectors.errors`."""
    again = deduplicates and ready.row.resend
    match error:
        case LeaseLost():
            return Result(None, error)
        case Flooded():
            return Result(None if again else _later(ready, error.retry_after), error, again=again)
        case NotSent():
            # An earlier attempt may have been accepted, so it stays in `sending` and is tried again.
            return Result(None if again else _later(ready, _BACKOFF[0]), error, again=again)
        case Rejected():
            # This attempt was certainly not accepted; an earlier one may have been.
            return Result(_unknown(ready, error) if ready.row.resend else _failed(ready, error), error)
        case AccountError():
            # Certainly not accepted; an earlier attempt may have been.
            outcome = _unknown(ready, error) if ready.row.resend else _held(ready, error)
            return Result(outcome, error)
        case _ if deduplicates:
            return Result(None, error, again=True)
        case _:
            return Result(_unknown(ready, error), error)


def put_back(ready: Ready) -> Outcome:
    """The outcome of a message that was authorised and certainly not written."""
    return _later(ready, 0.0)


def _later(ready: Ready, seconds: float) -> Outcome:
    return Outcome(ready.row.id, ready.epoch, MessageState.QUEUED, wait=seconds)


def _failed(ready: Ready, error: Rejected) -> Outcome:
    reason = f"{error.failure}:{error.platform_code}" if error.platform_code else str(error.failure)
    return Outcome(ready.row.id, ready.epoch, MessageState.FAILED, reason, error.message)


def _unknown(ready: Ready, error: SendError) -> Outcome:
    return Outcome(ready.row.id, ready.epoch, MessageState.UNKNOWN, error.code, error.message)


def _held(ready: Ready, error: AccountError) -> Outcome:
    return Outcome(ready.row.id, ready.epoch, MessageState.HELD, f"account_{error.state}", error.message)


STOPS_CAMPAIGNS = {AccountState.RESTRICTED}
"""States in which an account still answers but starts no conversation."""
STOPS_ALL = {AccountState.BANNED, AccountState.SIGNED_OUT, AccountState.PARKED}
"""States in which an account sends nothing."""
