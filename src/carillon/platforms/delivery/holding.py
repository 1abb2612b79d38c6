"""Messages of an account that cannot send wait: `held`, never moved to another account, never lost.

A restricted account still answers people but starts nothing, so only its campaign messages are held.
"""

from uuid import UUID

from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx

from .ledger import announce
from .outgoing import wake
from .wire import STOPS_ALL, STOPS_CAMPAIGNS

_SLICE = 10_000

_HOLD = """
UPDATE platforms.message SET state = 'held', reason = :reason, reason_text = :text, settled_at = clock_timestamp()
WHERE tenant_id = :tenant AND id IN (
    SELECT id FROM platforms.message
    WHERE account_id = :account AND state = 'queued' AND (kind = 'campaign' OR :everything)
    LIMIT :slice FOR UPDATE SKIP LOCKED)
RETURNING id, account_id, contact_id, lane, kind, state, reason, platform_id
"""

_RELEASE = """
UPDATE platforms.message SET state = 'queued', reason = NULL, reason_text = NULL, settled_at = NULL
WHERE tenant_id = :tenant AND id IN (
    SELECT id FROM platforms.message
    WHERE tenant_id = :tenant AND account_id = :account AND state = 'held' AND reason LIKE 'account\\_%'
    LIMIT :slice FOR UPDATE SKIP LOCKED)
RETURNING id
"""


async def follow(tx: Tx, account_id: UUID, state: AccountState, reason: str) -> None:
    """Hold or release the account's messages as its state demands."""
    if state in STOPS_ALL or state in STOPS_CAMPAIGNS:
        await _hold(tx, account_id, state, reason)
    elif state is AccountState.ONLINE:
        await _release(tx, account_id)


async def _hold(tx: Tx, account_id: UUID, state: AccountState, reason: str) -> None:
    while True:
        rows = await tx.all(
            _HOLD,
            {
                "tenant": tx.tenant,
                "account": account_id,
                "reason": f"account_{state}",
                "text": reason or f"The account is {state.value.replace('_', ' ')}.",
                "everything": state in STOPS_ALL,
                "slice": _SLICE,
            },
        )
        await announce(tx, rows)
        if len(rows) < _SLICE:
            return


async def _release(tx: Tx, account_id: UUID) -> None:
    while True:
        rows = await tx.all(_RELEASE, {"tenant": tx.tenant, "account": account_id, "slice": _SLICE})
        if rows:
            await wake(tx)
        if len(rows) < _SLICE:
            return
