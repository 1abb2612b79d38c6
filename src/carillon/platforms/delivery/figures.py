"""What stands in the ledger, in figures: read by one process of an installation every few seconds.

Only partial indexes of open rows are read, never the settled ones, so the cost grows with what waits and not with
what was ever sent. Per account there are the largest `TOP`, and the sum of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from carillon.storage.database import Tx

from .contracts import DIRECT_LANE, UNCONFIRMED_AFTER
from .leases import GRACE

TOP = 50
"""Accounts, and tenants, with series of their own."""
RECENT_DAYS = 7
"""How far back an unconfirmed outcome is still news."""

# Row security wants the tenant of every row, which the index lacks, so the rows are fetched; a scan of the whole table
# would be cheaper by the planner's reckoning while much is open, and must not happen beside ten million settled rows.
_CAUTION = "SELECT set_config('enable_seqscan', 'off', true), set_config('statement_timeout', '20s', true)"

_OPEN = """
SELECT a.tenant_id, m.account_id, a.state AS account_state, m.lane, l.state AS lane_state, m.queued, m.sending,
       m.due, m.oldest_due, m.oldest_sending
FROM (
    SELECT account_id, lane, count(*) FILTER (WHERE state = 'queued') AS queued,
           count(*) FILTER (WHERE state = 'sending') AS sending,
           count(*) FILTER (WHERE state = 'queued' AND due_at <= now()) AS due,
           min(due_at) FILTER (WHERE state = 'queued' AND due_at <= now()) AS oldest_due,
           min(sending_at) FILTER (WHERE state = 'sending') AS oldest_sending
    FROM platforms.message WHERE phase = 0
    GROUP BY account_id, lane
) m
JOIN platforms.account a ON a.id = m.account_id
LEFT JOIN platforms.lane l ON l.tenant_id = a.tenant_id AND l.id = m.lane
"""

_WAITING = """
SELECT w.*, l.state AS lane_state FROM (
SELECT tenant_id, account_id, lane, state, coalesce(reason, '') AS reason, count(*) AS messages,
       count(*) FILTER (WHERE state = 'unknown' AND reason IS DISTINCT FROM 'resent'
           AND sending_at < now() - make_interval(secs => :unconfirmed)
           AND sending_at > now() - make_interval(days => :days)) AS unconfirmed,
       min(coalesce(sending_at, settled_at, due_at)) AS since
FROM platforms.message WHERE phase = 1
GROUP BY tenant_id, account_id, lane, state, reason
) w LEFT JOIN platforms.lane l ON l.tenant_id = w.tenant_id AND l.id = w.lane
"""

_LEASES = """
SELECT l.tenant_id, l.id AS account_id, l.epoch, a.state AS account_state, a.connector,
       CASE WHEN l.worker_id IS NULL THEN 'free'
            WHEN w.expires_at + make_interval(secs => :grace) >= clock_timestamp() THEN 'owned' ELSE 'dead' END AS state
FROM platforms.account_lease l
JOIN platforms.account a ON a.tenant_id = l.tenant_id AND a.id = l.id AND a.deleted_at IS NULL
LEFT JOIN platforms.worker w ON w.id = l.worker_id
"""

_COUNTS = """
SELECT 'account' AS what, state, count(*) AS n FROM platforms.account WHERE deleted_at IS NULL GROUP BY state
UNION ALL SELECT 'lane', state, count(*) FROM platforms.lane GROUP BY state
UNION ALL SELECT 'worker', CASE WHEN expires_at > clock_timestamp() THEN 'alive' ELSE 'expired' END, count(*)
    FROM platforms.worker GROUP BY 2
UNION ALL SELECT 'webhook', 'failed', count(*) FROM platforms.webhook_call WHERE error IS NOT NULL
    AND received_at > now() - make_interval(days => :days)
"""


@dataclass(frozen=True, slots=True)
class Open:
    """Queued messages and those in flight of one account and lane.

    Attributes:
        lane_state: None of direct messages, whose lane is always open.
        oldest_due: When the one that is due longest became due; None when none is.
    """

    tenant_id: UUID
    account_id: UUID
    account_state: str
    lane: UUID
    lane_state: str | None
    queued: int
    sending: int
    due: int
    oldest_due: datetime | None
    oldest_sending: datetime | None

    @property
    def may_go(self) -> bool:
        """The campaign's gate is open."""
        return self.lane == DIRECT_LANE or self.lane_state == "running"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Held messages and those of unknown outcome, of one account, lane and reason."""

    tenant_id: UUID
    account_id: UUID
    lane: UUID
    state: str
    reason: str
    messages: int
    unconfirmed: int
    since: datetime | None
    lane_state: str | None


@dataclass(frozen=True, slots=True)
class LeaseFigure:
    """An account's lease: `state` is `owned`, `free`, or `dead` when its worker is gone."""

    tenant_id: UUID
    account_id: UUID
    epoch: int
    account_state: str
    connector: str
    state: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything, at one moment.

    Attributes:
        counts: `(what, state)` → how many: accounts, lanes, workers, webhooks.
    """

    at: datetime
    open: Sequence[Open]
    waiting: Sequence[Waiting]
    leases: Sequence[LeaseFigure]
    counts: dict[tuple[str, str], int]


async def read(tx: Tx) -> Figures:
    """The figures of what the transaction sees: a tenant's, or all."""
    await tx.execute(_CAUTION)
    at = await tx.scalar("SELECT now()")
    unconfirmed = {"unconfirmed": UNCONFIRMED_AFTER.total_seconds(), "days": RECENT_DAYS}
    return Figures(
        at=at,
        open=[Open(**row) for row in await tx.all(_OPEN)],
        waiting=[Waiting(**row) for row in await tx.all(_WAITING, unconfirmed)],
        leases=[LeaseFigure(**row) for row in await tx.all(_LEASES, {"grace": GRACE})],
        counts={(row["what"], row["state"]): row["n"] for row in await tx.all(_COUNTS, {"days": RECENT_DAYS})},
    )
