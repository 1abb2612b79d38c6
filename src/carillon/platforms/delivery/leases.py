"""Leases: one account, one owner, fenced by an epoch.

All expiry is judged by the database's clock; the holder judges its own time by a clock that never jumps, measured
from before it asked for the renewal. The holder stops writing `SAFE` seconds after that; nobody else may take an
account until `TTL + GRACE` seconds after it. The gap is what makes a paused zombie harmless before its first write
is even tried; the epoch in every write is what makes it harmless after.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from carillon.storage.database import Tx

from .contracts import Lease

TTL = 30.0
RENEW_EVERY = 5.0
SAFE = 20.0
GRACE = 15.0

_DEAD = "w.id IS NULL OR w.expires_at + make_interval(secs => :grace) < clock_timestamp()"
_RUNNABLE = "NOT a.parked AND a.deleted_at IS NULL AND a.state NOT IN ('banned', 'signed_out', 'parked')"


async def enlist(tx: Tx, worker_id: UUID, name: str) -> None:
    """Announce a worker process."""
    await tx.execute(
        "INSERT INTO platforms.worker (id, name, expires_at) "
        "VALUES (:id, :name, clock_timestamp() + make_interval(secs => :ttl))",
        {"id": worker_id, "name": name, "ttl": TTL},
    )


async def renew(tx: Tx, worker_id: UUID) -> bool:
    """Stay alive; False when the worker was declared dead meanwhile and must stop at once."""
    result = await tx.execute(
        "UPDATE platforms.worker SET renewed_at = clock_timestamp(), "
        "expires_at = clock_timestamp() + make_interval(secs => :ttl) "
        "WHERE id = :id AND expires_at > clock_timestamp()",
        {"id": worker_id, "ttl": TTL},
    )
    return result.rowcount == 1


async def fair_share(tx: Tx) -> int:
    """How many accounts each living worker should own, rounded up."""
    row = await tx.first(
        f"SELECT (SELECT count(*) FROM platforms.account a WHERE {_RUNNABLE}) AS accounts, "  # noqa: S608
        "(SELECT count(*) FROM platforms.worker WHERE expires_at > clock_timestamp()) AS workers"
    )
    assert row is not None
    return -(-int(row["accounts"]) // max(1, int(row["workers"])))


async def claim(tx: Tx, worker_id: UUID, count: int, but: Sequence[UUID] = ()) -> list[Lease]:
    """Take up to so many accounts that nobody owns, `but` some; each with a new epoch.

    A worker that was declared dead meanwhile gets none: whoever it took one from could be opening it at this moment.
    """
    rows = await tx.all(
        f"""
        WITH free AS (
            SELECT a.tenant_id, a.id
            FROM platforms.account a
            LEFT JOIN platforms.account_lease l ON l.tenant_id = a.tenant_id AND l.id = a.id
            LEFT JOIN platforms.worker w ON w.id = l.worker_id
            WHERE {_RUNNABLE} AND (l.worker_id IS NULL OR {_DEAD}) AND NOT a.id = ANY(:but)
              AND EXISTS (SELECT FROM platforms.worker me WHERE me.id = :worker AND me.expires_at > clock_timestamp())
            ORDER BY a.tenant_id, a.id
            LIMIT :count
            FOR UPDATE OF a SKIP LOCKED
        )
        INSERT INTO platforms.account_lease AS l (tenant_id, id, worker_id, epoch, acquired_at)
        SELECT tenant_id, id, :worker, 1, clock_timestamp() FROM free
        ON CONFLICT (tenant_id, id) DO UPDATE
            SET worker_id = excluded.worker_id, epoch = l.epoch + 1, acquired_at = excluded.acquired_at
            WHERE l.worker_id IS NULL OR NOT EXISTS (
                SELECT FROM platforms.worker w WHERE w.id = l.worker_id
                AND w.expires_at + make_interval(secs => :grace) >= clock_timestamp())
        RETURNING l.tenant_id, l.id AS account_id, l.epoch
        """,  # noqa: S608
        {"worker": worker_id, "count": count, "grace": GRACE, "but": list(but)},
    )
    return [Lease(**row) for row in rows]


async def release(tx: Tx, worker_id: UUID, leases: Sequence[Lease]) -> None:
    """Give accounts back; their sessions must be closed already, for the next owner connects at once."""
    await tx.execute(
        """
        UPDATE platforms.account_lease l SET worker_id = NULL
        FROM unnest(CAST(:ids AS uuid[]), CAST(:epochs AS bigint[])) AS mine (id, epoch)
        WHERE l.id = mine.id AND l.epoch = mine.epoch AND l.worker_id = :worker
        """,
        {
            "ids": [lease.account_id for lease in leases],
            "epochs": [lease.epoch for lease in leases],
            "worker": worker_id,
        },
    )


async def disown(tx: Tx, worker_id: UUID, known: Collection[UUID]) -> None:
    """Free what this worker owns without knowing it: a claim or a release of its own whose answer was lost."""
    await tx.execute(
        "UPDATE platforms.account_lease SET worker_id = NULL "
        "WHERE worker_id = :worker AND NOT (id = ANY(CAST(:known AS uuid[])))",
        {"worker": worker_id, "known": list(known)},
    )


async def retire(tx: Tx, worker_id: UUID) -> int:
    """Free all a worker owned: on its orderly end, or when its parent has reaped its process.

    Only call it when the process is certainly gone: a dead process has no open socket, so the next owner need not
    wait for the lease to run out. Returns how many accounts became free.
    """
    await tx.execute("DELETE FROM platforms.worker WHERE id = :id", {"id": worker_id})
    result = await tx.execute(
        "UPDATE platforms.account_lease SET worker_id = NULL WHERE worker_id = :id", {"id": worker_id}
    )
    return result.rowcount


async def retire_process(tx: Tx, name: str) -> int:
    """`retire` for whatever worker a dead process was, by the name it enlisted with."""
    freed = 0
    for row in await tx.all("SELECT id FROM platforms.worker WHERE name = :name", {"name": name}):
        freed += await retire(tx, row["id"])
    return freed


async def unwanted(tx: Tx, worker_id: UUID, opened: Collection[UUID] = ()) -> set[UUID]:
    """Accounts this worker owns but that must not run any more: parked, banned, signed out or deleted.

    One that is `new` although it is among those `opened` was all that and let go again before we looked: it is opened
    anew, which is what frees the messages that were held meanwhile.
    """
    rows = await tx.all(
        "SELECT l.id FROM platforms.account_lease l "  # noqa: S608 - constants of this module
        "JOIN platforms.account a ON a.tenant_id = l.tenant_id AND a.id = l.id "
        f"WHERE l.worker_id = :worker AND (NOT ({_RUNNABLE}) "
        "OR (a.state = 'new' AND a.id = ANY(CAST(:opened AS uuid[]))))",
        {"worker": worker_id, "opened": list(opened)},
    )
    return {row["id"] for row in rows}


async def held(tx: Tx, worker_id: UUID, leases: Sequence[Lease]) -> set[UUID]:
    """Those of the accounts that this worker still owns, locked until the transaction ends.

    The lock makes a claim wait for us, so what we write in this transaction is written as the owner.
    """
    driver = await tx.driver()
    rows = await driver.fetch(
        """
        SELECT l.id FROM platforms.account_lease l
        JOIN platforms.worker w ON w.id = l.worker_id AND w.expires_at > clock_timestamp()
        JOIN unnest($1::uuid[], $2::bigint[]) AS mine (id, epoch) ON mine.id = l.id AND mine.epoch = l.epoch
        WHERE l.worker_id = $3
        ORDER BY l.id
        FOR SHARE OF l
        """,
        [lease.account_id for lease in leases],
        [lease.epoch for lease in leases],
        worker_id,
    )
    return {row["id"] for row in rows}
