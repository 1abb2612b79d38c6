"""Messages of an account that cannot send wait: `held`, never moved to another account, never lost.

A restricted account still answers people but starts nothing, so only its campaign messages are held. What waits for
an account that was removed is cancelled.
"""

from typing import Literal
from uuid import UUID

from carillon.identity.audit import api as audit
from carillon.kernel.subject import Subject
from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import statuses
from .ledger import announce
from .outgoing import wake
from .wire import STOPS_ALL, STOPS_CAMPAIGNS

_SLICE = 10_000

# A subquery with a LIMIT and locks may run more than once in a join; a materialized one runs once.
_HOLD = """
WITH slice AS MATERIALIZED (
    SELECT id FROM platforms.message
    WHERE account_id = :account AND phase = 0 AND state = 'queued' AND (kind = 'campaign' OR :everything)
    LIMIT :slice FOR UPDATE SKIP LOCKED
)
UPDATE platforms.message m SET state = 'held', reason = :reason, reason_text = :text, settled_at = clock_timestamp()
FROM slice WHERE m.tenant_id = :tenant AND m.id = slice.id
RETURNING m.id, m.account_id, m.contact_id, m.lane, m.kind, m.state, m.reason, m.platform_id
"""

_RELEASE = """
WITH slice AS MATERIALIZED (
    SELECT id FROM platforms.message
    WHERE tenant_id = :tenant AND account_id = :account AND phase = 1 AND state = 'held' AND reason LIKE 'account\\_%'
    LIMIT :slice FOR UPDATE SKIP LOCKED
)
UPDATE platforms.message m SET state = 'queued', reason = NULL, reason_text = NULL, settled_at = NULL
FROM slice WHERE m.tenant_id = :tenant AND m.id = slice.id
RETURNING m.id
"""

# What a person decides of messages that a restore held: they may have been sent after the backup was made.
_DECIDE = """
WITH slice AS MATERIALIZED (
    SELECT id FROM platforms.message
    WHERE tenant_id = :tenant AND phase = 1 AND state = 'held' AND reason = 'restored'
      AND (CAST(:account AS uuid) IS NULL OR account_id = :account)
      AND (CAST(:campaign AS uuid) IS NULL OR lane = :campaign)
    ORDER BY id LIMIT :slice FOR UPDATE
)
UPDATE platforms.message m SET state = :state, reason = :reason, reason_text = NULL,
    settled_at = CASE WHEN :state = 'cancelled' THEN clock_timestamp() END
FROM slice WHERE m.tenant_id = :tenant AND m.id = slice.id
RETURNING m.id, m.account_id, m.contact_id, m.lane, m.kind, m.state, m.reason, m.platform_id
"""


_STUCK = """
SELECT a.tenant_id, a.id, a.state, a.reason FROM platforms.account a
WHERE a.state IN ('banned', 'signed_out', 'parked', 'restricted')
  AND EXISTS (SELECT FROM platforms.message m WHERE m.account_id = a.id AND m.phase = 0
              AND (m.kind = 'campaign' OR a.state <> 'restricted'))
"""

_REMOVED = """
SELECT a.tenant_id, a.id FROM platforms.account a WHERE a.deleted_at IS NOT NULL AND (
    EXISTS (SELECT FROM platforms.message m WHERE m.account_id = a.id AND m.phase = 0)
    OR EXISTS (SELECT FROM platforms.message m
               WHERE m.tenant_id = a.tenant_id AND m.account_id = a.id AND m.phase = 1 AND m.state = 'held'))
"""
_DROP = """
WITH slice AS MATERIALIZED (
    SELECT id FROM platforms.message
    WHERE tenant_id = :tenant AND account_id = :account AND phase = :phase AND state = :state
    ORDER BY id LIMIT :slice FOR UPDATE SKIP LOCKED
)
UPDATE platforms.message m SET state = 'cancelled', reason = 'account_removed', reason_text = NULL,
    settled_at = clock_timestamp()
FROM slice WHERE m.tenant_id = :tenant AND m.id = slice.id
RETURNING m.id, m.account_id, m.contact_id, m.lane, m.kind, m.state, m.reason, m.platform_id
"""
# A message may be held by the answer to an attempt that began before its account came back.
_FREE = """
SELECT a.tenant_id, a.id FROM platforms.account a
WHERE a.state = 'online' AND a.deleted_at IS NULL AND EXISTS (
    SELECT FROM platforms.message m WHERE m.tenant_id = a.tenant_id AND m.account_id = a.id AND m.phase = 1
      AND m.state = 'held' AND m.reason LIKE 'account\\_%')
"""

# The lease row is locked, so that nobody takes the account meanwhile; a living owner settles its own.
_ABANDON = """
WITH lease AS (
    SELECT l.worker_id FROM platforms.account_lease l WHERE l.tenant_id = :tenant AND l.id = :account FOR UPDATE
)
UPDATE platforms.message SET state = 'unknown', reason = 'interrupted', settled_at = clock_timestamp(),
    reason_text = 'The process that was sending this stopped, and the account cannot be asked any more.'
WHERE tenant_id = :tenant AND account_id = :account AND phase = 0 AND state = 'sending'
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


async def release_restored(
    tx: Tx,
    subject: Subject,
    *,
    action: Literal["send", "cancel"],
    campaign_id: UUID | None = None,
    account_id: UUID | None = None,
) -> tuple[int, bool]:
    """Send or cancel the next of the messages that were held when a backup was restored: a person decides.

    Some of them may have been sent between the backup and the restore, so whoever sends them takes the risk of a
    second copy. Consent, opt-out and limits are checked again as for every message, and those of a paused campaign
    wait until it goes on.

    Args:
        tx: Inside the tenant; call it in a transaction of its own until nothing is left, so that none runs long.
        subject: Who decided.
        action: Back to `queued`, or `cancelled`.
        campaign_id: Only the messages of this campaign.
        account_id: Only the messages of this account.

    Returns:
        How many were changed, and whether more may be left.
    """
    values = {
        "tenant": tx.tenant,
        "account": account_id,
        "campaign": campaign_id,
        "state": "queued" if action == "send" else "cancelled",
        "reason": None if action == "send" else "cancelled",
        "slice": _SLICE,
    }
    rows = await tx.all(_DECIDE, values)
    if not rows:
        return 0, False
    await announce(tx, rows)
    if action == "send":
        await wake(tx)
    details = {"action": action, "messages": len(rows), "account_id": str(account_id) if account_id else None}
    await audit.record(tx, subject, "messages.restored_released", campaign_id, details)
    return len(rows), len(rows) == _SLICE


async def sweep(resources: Resources) -> None:
    """Find what is still open on accounts that cannot send, and settle it: the clock's work.

    A message may go back to the queue just after its account was held, and a process may die with messages of an
    account that nobody will open again: those are `unknown`, since the account cannot be asked any more. Statuses
    that crossed the settlement of their message are merged, and what a removed account left is cancelled.
    """
    await statuses.merge_late(resources)
    await _drop_removed(resources)
    async with resources.database.across_tenants() as tx:
        stuck = await tx.all(_STUCK)
        free = await tx.all(_FREE)
    for row in free:
        async with resources.database.transaction(row["tenant_id"]) as tx:
            await _release(tx, row["id"])
    for row in stuck:
        async with resources.database.transaction(row["tenant_id"]) as tx:
            state = AccountState(row["state"])
            await follow(tx, row["id"], state, row["reason"])
            if state in STOPS_ALL:
                await announce(tx, await tx.all(_ABANDON, {"tenant": tx.tenant, "account": row["id"]}))


async def _drop_removed(resources: Resources) -> None:
    """Nobody will ever send what waits for an account that is gone, and no other account may: it is cancelled."""
    async with resources.database.across_tenants() as tx:
        removed = await tx.all(_REMOVED)
    for row in removed:
        account = {"account": row["id"], "tenant": row["tenant_id"]}
        for phase, state in ((0, "queued"), (1, "held")):
            dropped = _SLICE
            while dropped == _SLICE:
                async with resources.database.transaction(row["tenant_id"]) as tx:
                    rows = await tx.all(_DROP, {**account, "phase": phase, "state": state, "slice": _SLICE})
                    await announce(tx, rows)
                dropped = len(rows)
        async with resources.database.transaction(row["tenant_id"]) as tx:
            await announce(tx, await tx.all(_ABANDON, account))


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
            await wake(tx, account_id)
        if len(rows) < _SLICE:
            return
