"""The life of an account: every change of its state goes through here."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from carillon.events import outbox
from carillon.events.catalog.platforms import AccountStateChanged
from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx

from . import repository
from .contracts import Account
from .reasons import REASONS, code_for
from .states import By, may_enter

log = structlog.get_logger(__name__)

STOPPED = frozenset({AccountState.BANNED, AccountState.SIGNED_OUT})
_CALM = frozenset({AccountState.ONLINE, AccountState.SIGNING_IN, AccountState.NEW})


async def change_state(
    tx: Tx,
    account_id: UUID,
    state: AccountState,
    reason: str,
    *,
    wait: float | None = None,
    at: datetime | None = None,
    code: str | None = None,
) -> None:
    """Bring an account into a state on its platform's word; what is not allowed (see `states`) changes nothing.

    Args:
        tx: Inside the tenant.
        account_id: An account that is gone is passed over.
        state: The new state.
        reason: What a person can do.
        wait: Seconds that a flood lasts.
        at: When it happened; now if left out.
        code: Stable code of the reason; found by text and state if left out.
    """
    account = await repository.find(tx, account_id, lock=True)
    if account is None:
        return
    now = at or datetime.now(UTC)
    # By the database's clock, as whoever ends the wait goes by it: ours may be hours ahead.
    present = await tx.clock() if wait is not None or account.wait_until is not None else now
    wait_until = (at or present) + timedelta(seconds=wait) if wait is not None else None
    if not may_enter(account.state, state, By.PLATFORM):
        log.info("account.state_refused", account=str(account_id), before=account.state.value, after=state.value)
        return
    if _still_flooded(account, state, present):
        # A session that opens anew does not end the wait the platform asked for.
        return
    code = code if code is not None else code_for(state, reason)
    if (account.state, account.reason, account.reason_code, account.wait_until) == (state, reason, code, wait_until):
        return
    await repository.write(
        tx,
        account_id,
        {
            "state": state.value,
            "reason": reason,
            "reason_code": code,
            "state_at": now,
            "wait_until": wait_until,
            "updated_at": now,
        },
    )
    if account.state is not state:
        await _announce(tx, [account], state, reason)


async def enter(
    tx: Tx,
    accounts: Sequence[Account],
    state: AccountState,
    *,
    by: By,
    code: str,
    parked: bool | None = None,
) -> list[Account]:
    """Bring locked accounts into a state with one of our own reasons, and wake the workers.

    Returns:
        Those that were allowed to and changed.
    """
    moving = [
        account
        for account in accounts
        if may_enter(account.state, state, by) and (account.state, account.reason_code) != (state, code)
    ]
    if not moving:
        return []
    now = datetime.now(UTC)
    explained = REASONS.get(code)
    reason = explained.happened if explained else ""
    values: dict[str, Any] = {
        "state": state.value,
        "reason": reason,
        "reason_code": code,
        "state_at": now,
        "updated_at": now,
    }
    if state is not AccountState.FLOODED:
        values["wait_until"] = None
    if parked is not None:
        values["parked"] = parked
    await repository.write_many(tx, [account.id for account in moving], values)
    await _announce(tx, moving, state, reason)
    await repository.wake_workers(tx)
    return moving


def _still_flooded(account: Account, state: AccountState, now: datetime) -> bool:
    return (
        account.state is AccountState.FLOODED
        and state in _CALM
        and account.wait_until is not None
        and account.wait_until > now
    )


async def _announce(tx: Tx, accounts: Sequence[Account], state: AccountState, reason: str) -> None:
    await outbox.append(
        tx,
        *[
            AccountStateChanged(account_id=account.id, state=state.value, before=account.state.value, reason=reason)
            for account in accounts
            if account.state is not state
        ],
    )
