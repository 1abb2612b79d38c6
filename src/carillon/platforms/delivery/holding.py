"""Messages of an account that cannot send wait: `held`, never moved to another account, never lost.

A restricted account still answers people but starts nothing, so only its campaign messages are held.
"""

from uuid import UUID

from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

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


_STUCK = """
SELECT a.tenant_id, a.id, a.state, a.reason FROM platforms.account a
WHERE a.state IN ('banned', 'signed_out', 'parked', 'restricted')
  AND EXISTS (SELECT FROM platforms.message m WHERE m.account_id = a.id AND m.state IN ('queued', 'sending')
              AND (m.kind = 'campaign' OR a.state <> 'restricted'))
"""

# The lease row is locked, so that nobody takes the account meanwhile; a living owner settles its own.
_ABANDON = """
WITH lease AS (
    SELECT l.worker_id FROM platforms.account_lease l WHERE l.tenant_id = :tenant AND l.id = :account FOR UPDATE
)
UPDATE platforms.message SET state = 'unknown', reason = 'interrupted', settled_at = clock_timestamp(),
    reason_text = 'The process that was sending this stopped, and the account cannot be asked any more.'
WHERE tenant_id = :tenant AND account_id = :account AND state = 'sending'
  AND NOT EXISTS (SELECT FROM lease JOIN platforms.worker w ON w.id = lease.worker_id
                  WHERE w.expires_at + make_interval(secs => 15) > clock_timestamp())
RETURNING id, account_id, contact_id, lane, kind, state, reason, platform_id
"""


async def follow(tx: Tx, account_id: UUID, state: AccountState, reason: str) -> None:
    """Hold or release the account's messages as its state demands."""
    if state in STOPS_ALL or state in STOPS_CAMPAIGNS:
        await _hold(tx, account_id, state, reason)
    elif state is AccountState.ONLINE:
        await _release(tx, account_id)


async def sweep(resources: Resources) -> None:
    """Find what is still open on accounts that cannot send, and settle it: the clock's work.

    A message may go back to the queue just after its account was held, and a process may die with messages of an
    account that nobody will open again: those are `unknown`, since the account cannot be asked any more.
    """
    async with resources.database.across_tenants() as tx:
        stuck = await tx.all(_STUCK)
    for row in stuck:
        async with resources.database.transaction(row["tenant_id"]) as tx:
            state = AccountState(row["state"])
            await follow(tx, row["id"], state, row["reason"])
            if state in STOPS_ALL:
                await announce(tx, await tx.all(_ABANDON, {"tenant": tx.tenant, "account": row["id"]}))


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
