"""What does not move, why, and what would free it: of one tenant, or of the whole installation.

What merely waits (for its time, quiet hours, a flood, a paused campaign) is not stuck.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from carillon.events import backlog
from carillon.platforms.accounts import api as accounts
from carillon.storage.database import Tx

from . import figures
from .figures import Figures, Waiting
from .leases import GRACE, TTL

OVERDUE = timedelta(minutes=10)
"""How long a message may be due while everything it needs is there."""
FLYING = timedelta(minutes=5)
"""How long a message may be in flight: a minute on the wire, a dead owner's lease, and some tries more."""
BEHIND = 60.0
"""Seconds a consumer may be behind."""
_NEWEST = 20_000
_GONE = ("banned", "signed_out", "parked")
_NO_CONNECTOR = "This installation has no connector named"

# Accounts of which something was settled lately; events are read from the newest back, so a busy installation's window
# may be shorter than asked for, which the caller is told.
_MOVED = """
SELECT DISTINCT payload ->> 'account_id' AS account FROM (
    SELECT type, payload FROM events.event WHERE occurred_at > now() - make_interval(secs => :seconds)
    ORDER BY xid DESC, position DESC LIMIT :newest
) newest WHERE type = 'message.changed'
"""

_UNOWNED = """
SELECT a.tenant_id, a.id, a.state, a.reason, a.connector, a.state_at FROM platforms.account a
LEFT JOIN platforms.account_lease l ON l.tenant_id = a.tenant_id AND l.id = a.id
WHERE a.deleted_at IS NULL AND NOT a.parked
  AND ((l.worker_id IS NULL AND a.state NOT IN ('banned', 'signed_out', 'parked')) OR a.reason LIKE :no_connector)
"""

_WEBHOOKS = """
SELECT tenant_id, account_id, count(*) AS n, min(received_at) AS since, max(error) AS error FROM platforms.webhook_call
WHERE error IS NOT NULL AND received_at > now() - make_interval(days => :days)
GROUP BY tenant_id, account_id
"""


@dataclass(frozen=True, slots=True)
class Stuck:
    """Things that stand still for one reason.

    Attributes:
        kind: Stable code of the reason.
        count: How many.
        since: When the oldest of them stopped.
        why: For a person.
        mend: The command or call that frees it.
    """

    kind: str
    count: int
    since: datetime | None
    why: str
    mend: str
    tenant_id: UUID | None = None
    account_id: UUID | None = None
    campaign_id: UUID | None = None


async def find(tx: Tx) -> list[Stuck]:
    """Everything that is stuck, the most first within each kind.

    Args:
        tx: Inside a tenant for its own, across tenants (workers only) for all and for the consumers.
    """
    seen = await figures.read(tx)
    found = [
        *await _overdue(tx, seen),
        *_flying(seen),
        *_dead_leases(seen),
        *await _unowned(tx, seen),
        *_lanes(seen),
        *_waiting(seen),
        *await _webhooks(tx),
        *await _events(tx),
    ]
    return sorted(found, key=lambda one: (one.kind, -one.count))


async def _overdue(tx: Tx, seen: Figures) -> list[Stuck]:
    late = [row for row in seen.open if row.may_go and row.account_state == "online" and row.oldest_due is not None]
    late = [row for row in late if row.oldest_due is not None and seen.at - row.oldest_due > OVERDUE]
    if not late:
        return []
    moved = {row["account"] for row in await tx.all(_MOVED, {"seconds": OVERDUE.total_seconds(), "newest": _NEWEST})}
    flying = {row.account_id for row in seen.open if row.sending}
    owned = {lease.account_id for lease in seen.leases if lease.state == "owned"}
    return [
        Stuck(
            "due_not_sent",
            row.due,
            row.oldest_due,
            "Due for long although the account is online and its gate open, and nothing of the account moves.",
            "look into the delivery process's log, then restart that process; GET /api/v1/accounts/{id}",
            row.tenant_id,
            row.account_id,
        )
        for row in late
        if str(row.account_id) not in moved and row.account_id not in flying and row.account_id in owned
    ]


def _flying(seen: Figures) -> list[Stuck]:
    return [
        Stuck(
            "sending_too_long",
            row.sending,
            row.oldest_sending,
            f"In flight for longer than any attempt and lease together can last ({FLYING.total_seconds():.0f} s).",
            "see that a delivery process runs (carillon run delivery): the account's next owner settles them",
            row.tenant_id,
            row.account_id,
        )
        for row in seen.open
        if row.oldest_sending is not None and seen.at - row.oldest_sending > FLYING
    ]


def _dead_leases(seen: Figures) -> list[Stuck]:
    dead = [lease for lease in seen.leases if lease.state == "dead" and lease.account_state not in _GONE]
    return _by_tenant(
        "lease_without_worker",
        [(lease.tenant_id, 1) for lease in dead],
        f"Owned by a process that died more than {TTL + GRACE:.0f} s ago, and nobody took over.",
        "start a delivery process: carillon run delivery",
    )


async def _unowned(tx: Tx, seen: Figures) -> list[Stuck]:
    alive = seen.counts.get(("worker", "alive"), 0)
    rows = await tx.all(_UNOWNED, {"no_connector": f"{_NO_CONNECTOR}%"})
    missing = [row for row in rows if row["reason"].startswith(_NO_CONNECTOR)]
    free = [row for row in rows if row not in missing and seen.at - row["state_at"] > timedelta(seconds=TTL + GRACE)]
    why = "No living delivery process." if not alive else "No delivery process has taken them, or they fail to open."
    mend = "carillon run delivery" if not alive else "read the accounts' reasons: carillon accounts list"
    return [
        *_by_tenant(
            "no_connector",
            [(row["tenant_id"], 1) for row in missing],
            "No process has their connector.",
            "set what the connector needs (CARILLON_SIMULATOR, …), restart, then sign the accounts in again",
        ),
        *_by_tenant("account_without_worker", [(row["tenant_id"], 1) for row in free], why, mend),
    ]


def _lanes(seen: Figures) -> list[Stuck]:
    """Campaigns that run, with messages left, none of them on an account that can send."""
    able: dict[UUID, bool] = defaultdict(bool)
    owners: dict[UUID, UUID] = {}
    left: dict[UUID, int] = defaultdict(int)
    for row in seen.open:
        if row.lane_state == "running":
            able[row.lane] |= row.account_state not in (*_GONE, "restricted")
            owners[row.lane], left[row.lane] = row.tenant_id, left[row.lane] + row.queued
    for held in seen.waiting:
        if held.state == "held" and held.lane_state == "running":
            owners[held.lane], left[held.lane] = held.tenant_id, left[held.lane] + held.messages
    return [
        Stuck(
            "campaign_without_accounts",
            left[lane],
            None,
            "The campaign runs, but none of the accounts its messages are on can send.",
            f"mend its accounts (carillon accounts list), or: carillon campaign cancel {lane}",
            tenant,
            None,
            lane,
        )
        for lane, tenant in owners.items()
        if not able[lane] and left[lane]
    ]


def _waiting(seen: Figures) -> list[Stuck]:
    unconfirmed = [row for row in seen.waiting if row.unconfirmed]
    restored = [row for row in seen.waiting if row.state == "held" and row.reason == "restored"]
    held = [row for row in seen.waiting if row.state == "held" and row.reason.startswith("account_")]
    return [
        *_by_tenant(
            "unconfirmed",
            [(row.tenant_id, row.unconfirmed) for row in unconfirmed],
            "Nobody knows whether they were sent, and no status came in 15 minutes.",
            "GET /api/v1/messages?state=unknown, then POST /api/v1/messages/{id}/resend, at the risk of a second copy",
            min((row.since for row in unconfirmed if row.since), default=None),
        ),
        *_by_tenant(
            "held_restored",
            [(row.tenant_id, row.messages) for row in restored],
            "Held since a backup was restored: they may have been sent after it was made.",
            'POST /api/v1/messages/release-restored {"action": "send"} or {"action": "cancel"}',
            min((row.since for row in restored if row.since), default=None),
        ),
        *_held(held),
    ]


def _held(rows: Iterable[Waiting]) -> list[Stuck]:
    by_account: dict[tuple[UUID, UUID, str], Stuck] = {}
    for row in rows:
        key = row.tenant_id, row.account_id, row.reason
        known = by_account.get(key)
        if known is None:
            explained = accounts.explain(row.reason.removeprefix("account_"))
            by_account[key] = Stuck(
                "held_by_account",
                row.messages,
                row.since,
                explained.happened if explained else f"The account cannot send: {row.reason}.",
                (explained.advice if explained else "") or f"GET /api/v1/accounts/{row.account_id}",
                row.tenant_id,
                row.account_id,
            )
        else:
            by_account[key] = replace(known, count=known.count + row.messages)
    return list(by_account.values())


async def _webhooks(tx: Tx) -> list[Stuck]:
    return [
        Stuck(
            "webhook_not_understood",
            row["n"],
            row["since"],
            f"Calls of the platform that the connector could not read; the last error: {row['error'][:200]}",
            "compare the platform's format with the guide (docs/guide/runbook/webhooks-not-understood.md)",
            row["tenant_id"],
            row["account_id"],
        )
        for row in await tx.all(_WEBHOOKS, {"days": figures.RECENT_DAYS})
    ]


async def _events(tx: Tx) -> list[Stuck]:
    found = [
        Stuck(
            "dead_letters",
            one.events,
            one.since,
            f"Events that {one.consumer} gave up.",
            "GET /api/v1/events/dead-letters, mend the cause, POST /api/v1/events/dead-letters/{id}/replay",
        )
        for one in await backlog.dead_letters(tx)
    ]
    if tx.tenant_id is not None:
        return found
    behind = [one for one in await backlog.standings(tx) if one.seconds > BEHIND]
    return [
        *found,
        *[
            Stuck(
                "consumer_behind",
                max(1, one.attempts),
                None,
                f"{one.consumer} is {one.seconds:.0f} s behind" + (f"; it failed: {one.error}" if one.error else "."),
                "see that the events role runs (carillon run events); one long transaction holds all consumers back",
            )
            for one in behind
        ],
    ]


def _by_tenant(
    kind: str, counts: Sequence[tuple[UUID, int]], why: str, mend: str, since: datetime | None = None
) -> list[Stuck]:
    sums: dict[UUID, int] = defaultdict(int)
    for tenant_id, count in counts:
        sums[tenant_id] += count
    return [Stuck(kind, count, since, why, mend, tenant_id) for tenant_id, count in sums.items()]
