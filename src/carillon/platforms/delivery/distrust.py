"""The boundary to connectors: whatever one answers, raises or hands in becomes well-formed here, or is refused.

A connector is code that talks to a stranger. It may raise anything, answer nonsense, hang or lie; none of that may
stall another account or reach the ledger. Nothing here raises but what the port allows, and nothing a person reads
is longer than a few lines.
"""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from carillon.kernel.errors import CarillonError
from carillon.platforms.connectors.errors import (
    AccountError,
    FailureClass,
    Flooded,
    LeaseLost,
    NotSent,
    Rejected,
    SendError,
    Uncertain,
)
from carillon.platforms.connectors.port import (
    Accepted,
    AccountConfig,
    AccountState,
    Connector,
    Limits,
    Outbound,
    Rate,
    Session,
    Update,
    UpdateSink,
)

from .wellformed import identifier, instant, seconds, sentence, update_of

log = structlog.get_logger(__name__)

LEAVING = 5.0
"""Seconds for a connector that is no longer waited for to clean up."""
SLICE = 200
"""Updates that are made durable in one transaction."""
_DEFAULT_WAIT = 60.0
_STOPS = frozenset({AccountState.RESTRICTED, AccountState.BANNED, AccountState.SIGNED_OUT, AccountState.PARKED})
_OPENABLE = _STOPS | {AccountState.DEGRADED, AccountState.FLOODED}
_STATE_BYTES = 16_000_000
_LONGEST_KEY = 200
_TELL_AGAIN = 300.0
_MOST_TOLD = 100
_told: dict[str, float] = {}
_CAUTIOUS = Limits(account=Rate(1, 1.0))


class ConnectorFailed(Exception):
    """A connector ended with something that is no error to be caught, or cancelled itself."""


async def sent(session: Session, message: Outbound, now: Callable[[], datetime]) -> Accepted:
    """Await one attempt of a connector; whoever calls this gives up on it in the end, by cancelling.

    Args:
        session: Of the message's account.
        message: What to send.
        now: Wall clock, for a time that makes no sense.

    Raises:
        SendError: What the connector raised, well-formed; `Uncertain` for everything that is none.
    """
    try:
        return accepted(await _contained(session, message), now)
    except SendError as error:
        raise send_error(error) from error
    except TimeoutError as error:
        raise Uncertain("The platform did not answer in time.") from error
    except Exception as error:
        log.warning("connector.raised", message=str(message.id), error=_name_of(error), exc_info=_is_news(error))
        raise Uncertain(f"The connector failed: {_name_of(error)}.") from error


def accepted(answer: object, now: Callable[[], datetime]) -> Accepted:
    """The answer to a `send`; one without a usable id is accepted all the same, its statuses just find nothing.

    Raises:
        Uncertain: It is no answer at all.
    """
    if not isinstance(answer, Accepted):
        raise Uncertain("The connector gave no answer that makes sense.")
    try:
        return Accepted(identifier(answer.platform_id), instant(answer.at, now()))  # type: ignore[arg-type] # see above
    except Exception as error:
        raise Uncertain(f"The connector's answer cannot be read: {type(error).__name__}.") from error


def send_error(error: SendError) -> SendError:
    """The same error with fields that fit: short texts, a wait that ends, a state that stops an account."""
    try:
        return _well_formed(error)
    except Exception as broken:  # noqa: BLE001 - an error whose own fields raise
        return Uncertain(f"The connector's error cannot be read: {type(broken).__name__}.")


def _well_formed(error: SendError) -> SendError:
    message = sentence(error.message) or sentence(type(error).__doc__) or "The connector gave no reason."
    code = sentence(error.platform_code, most=64)
    match error:
        case LeaseLost():
            return LeaseLost()
        case Flooded():
            wait = seconds(error.retry_after, _DEFAULT_WAIT)
            return Flooded(message, retry_after=wait, only_peer=error.only_peer is True)
        case NotSent():
            return NotSent(message, platform_code=code)
        case Rejected():
            failure = error.failure if isinstance(error.failure, FailureClass) else FailureClass.PLATFORM
            return Rejected(message, failure=failure, platform_code=code, opt_out=error.opt_out is True)
        case AccountError():
            return _account_error(error, message, code)
        case _:
            return Uncertain(message, platform_code=code)


def _account_error(error: AccountError, message: str, code: str) -> SendError:
    """Its messages are held until the account is online again, so only a state that leads there may hold them."""
    state = _state(error.state)
    if state in _STOPS:
        return AccountError(message, state=state, platform_code=code)
    if state is AccountState.FLOODED:
        return Flooded(message, retry_after=_DEFAULT_WAIT)
    return NotSent(message, platform_code=code)


def _state(value: object) -> AccountState | None:
    try:
        return AccountState(value)  # type: ignore[arg-type] # whatever it is
    except (ValueError, TypeError):
        return None


async def opened(connector: Connector, config: AccountConfig, sink: UpdateSink, patience: float) -> Session:
    """Await a connector's `open`; one that does not come back is left behind and closed if it ever does.

    Raises:
        AccountError: The account cannot be opened; the state says what it is in from now on, the text why.
        LeaseLost: Another process owns it.
    """

    async def open_it() -> object:
        return await connector.open(config, sink)

    task = asyncio.ensure_future(_caught(open_it()))
    try:
        await asyncio.wait({task}, timeout=patience)
    except asyncio.CancelledError:
        await _leave(task)
        raise
    if not task.done():
        await _leave(task)
        raise _degraded(f"The account could not be opened within {patience:g} s.")
    answer, error = task.result()
    if error is not None:
        raise _open_error(error) from error
    if not callable(getattr(answer, "send", None)) or not callable(getattr(answer, "close", None)):
        raise _degraded(f"The connector failed: it opened a {type(answer).__name__[:80]} and no session.")
    return answer  # type: ignore[return-value] # it has what a session needs


def _open_error(error: BaseException) -> Exception:
    if isinstance(error, LeaseLost) or (isinstance(error, CarillonError) and not isinstance(error, SendError)):
        return error
    if isinstance(error, AccountError) and _state(error.state) in _OPENABLE:
        return AccountError(sentence(error.message) or "The connector gave no reason.", state=AccountState(error.state))
    if isinstance(error, SendError):
        return _degraded(sentence(error.message) or "The connector gave no reason.")
    if isinstance(error, OSError):
        return _degraded(f"The platform could not be reached: {sentence(error.strerror) or _name_of(error)}.")
    return _degraded(f"The connector failed: {_name_of(error)}.")


def _degraded(reason: str) -> AccountError:
    return AccountError(reason, state=AccountState.DEGRADED)


async def _leave(task: "asyncio.Task[tuple[object, BaseException | None]]") -> None:
    """Give it a while to end and close what it opened, for the account's next owner connects at once."""
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=LEAVING)
    if done:
        await closed(task.result()[0], LEAVING)
    else:
        log.error("session.open_hangs")
        task.add_done_callback(_close_late)


def _close_late(task: "asyncio.Task[tuple[object, BaseException | None]]") -> None:
    """Nobody waits for this session any more: it must not stay open beside the next one."""
    _late.add(closing := asyncio.ensure_future(closed(task.result()[0], LEAVING)))
    closing.add_done_callback(_late.discard)


_late: set["asyncio.Task[None]"] = set()


async def closed(session: Any, patience: float) -> None:
    """Close a session; one that raises, hangs or cannot be cancelled is left behind. Never raises.

    Args:
        session: Or whatever a connector opened; what cannot be closed need not be.
        patience: Seconds it may take.
    """
    if not callable(getattr(session, "close", None)):
        return

    async def close() -> None:
        await session.close()

    task = asyncio.ensure_future(_caught(close()))
    done, _ = await asyncio.wait({task}, timeout=patience)
    if not done:
        task.cancel()
        log.error("session.close_hangs")
    elif task.result()[1] is not None:
        log.error("session.close_failed", error=_name_of(task.result()[1]))


def limits(connector: Connector, config: AccountConfig) -> Limits:
    """What a connector says its platform allows; one message a second when that makes no sense."""
    try:
        found = connector.limits(config)
        rates = [found.account, found.peer, found.portfolio]
        usable = isinstance(found, Limits) and found.account is not None
        usable = usable and all(r.count > 0 and r.seconds > 0 and r.burst >= 1 for r in rates if r is not None)
        usable = usable and all(math.isfinite(r.count + r.seconds + r.burst) for r in rates if r is not None)
    except Exception as error:
        log.warning("connector.limits_failed", error=_name_of(error), exc_info=_is_news(error))
        return _CAUTIOUS
    return found if usable else _CAUTIOUS


def deduplicates(connector: Connector) -> bool:
    """Whether the connector promises that; anything but a plain yes is no."""
    try:
        return connector.capabilities.deduplicates is True
    except Exception as error:
        log.warning("connector.capabilities_failed", error=_name_of(error), exc_info=_is_news(error))
        return False


def slices(updates: Any) -> Iterator[list[Any]]:
    """What was handed in, in parts small enough for one transaction each; nothing for what cannot be read through.

    Only the last part goes with the connector's state, so the state is never ahead of the updates.
    """
    if not isinstance(updates, Sequence) or isinstance(updates, str | bytes):
        log.warning("connector.updates_refused", given=type(updates).__name__)
        return
    for start in range(0, len(updates), SLICE):
        yield list(updates[start : start + SLICE])


def updates(handed: Any, now: datetime) -> list[Update]:
    """The updates that can be understood, well-formed; the others are counted in the log and passed over."""
    found: list[Update] = []
    refused = 0
    for one in handed:
        try:
            understood = update_of(one, now)
        except Exception:  # noqa: BLE001 - a field that raises is as good as garbage
            understood = None
        if understood is None:
            refused += 1
        else:
            found.append(understood)
    if refused:
        log.warning("connector.updates_refused", updates=refused)
    return found


def state(handed: Any) -> dict[str, bytes | None] | None:
    """What a connector wants kept, without what cannot be."""
    if not isinstance(handed, Mapping):
        return None
    return {
        sentence(key, most=_LONGEST_KEY): value
        for key, value in handed.items()
        if isinstance(key, str) and key and (value is None or (isinstance(value, bytes) and len(value) < _STATE_BYTES))
    }


async def _contained(session: Session, message: Outbound) -> object:
    """Turn what would end our own task, or the loop, into a plain error; a real cancellation goes through."""
    try:
        return await session.send(message)
    except Exception:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise ConnectorFailed(_name_of(error)) from error


def _is_news(error: Exception) -> bool:
    """Whether to write the traceback: one for each kind in a while, for a broken connector fails at every message."""
    now, name = time.monotonic(), _name_of(error)
    if _told.get(name, -_TELL_AGAIN) + _TELL_AGAIN > now:
        return False
    if len(_told) >= _MOST_TOLD:
        _told.clear()
    _told[name] = now
    return True


async def _caught(work: Coroutine[Any, Any, object]) -> tuple[object, BaseException | None]:
    """The answer or the error as a value: a task that ends with SystemExit would end the process."""
    try:
        return await work, None
    except BaseException as error:  # noqa: BLE001 - judged by who asked
        return None, error


def _name_of(error: BaseException | None) -> str:
    if isinstance(error, ConnectorFailed):
        return str(error)
    return "CancelledError" if isinstance(error, asyncio.CancelledError) else type(error).__name__[:80]
