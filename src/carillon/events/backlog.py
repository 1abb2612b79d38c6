"""How far consumers are behind, and what they gave up: for operators."""

from dataclasses import dataclass
from datetime import datetime

from carillon.storage.database import Tx

# ORDER BY … LIMIT 1 binds the planner to the index; a consumer's next event may be of a type it passes over.
_CURSORS = """
SELECT c.consumer, c.attempts, c.error,
       coalesce(extract(epoch FROM clock_timestamp() - next.occurred_at), 0)::float8 AS seconds
FROM events.cursor c
LEFT JOIN LATERAL (
    SELECT e.occurred_at FROM events.event e WHERE (e.xid, e.position) > (c.xid, c.position)
    ORDER BY e.xid, e.position LIMIT 1
) next ON true
ORDER BY c.consumer
"""

_DEAD = """
SELECT consumer, count(*) AS events, min(failed_at) AS since FROM events.dead_letter
WHERE replayed_at IS NULL GROUP BY consumer ORDER BY consumer
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a consumer is.

    Attributes:
        seconds: Age of the oldest event it has not passed; 0 when there is none.
        attempts: How often it failed at its next events.
        error: Of the last attempt.
        dead: Events it gave up that were not replayed.
    """

    consumer: str
    seconds: float
    attempts: int
    error: str | None
    dead: int


@dataclass(frozen=True, slots=True)
class Dead:
    """Events a consumer gave up that were not replayed."""

    consumer: str
    events: int
    since: datetime


async def dead_letters(tx: Tx) -> list[Dead]:
    """What is given up, by consumer: of the tenant, or of all."""
    return [Dead(**row) for row in await tx.all(_DEAD)]


async def standings(tx: Tx) -> list[Standing]:
    """All consumers: workers only, for cursors belong to no tenant."""
    dead = {one.consumer: one.events for one in await dead_letters(tx)}
    cursors = {row["consumer"]: row for row in await tx.all(_CURSORS)}
    found = [
        Standing(name, row["seconds"], row["attempts"], row["error"], dead.pop(name, 0))
        for name, row in cursors.items()
    ]
    # Of consumers that are gone.
    return [*found, *[Standing(name, 0.0, 0, None, count) for name, count in dead.items()]]
