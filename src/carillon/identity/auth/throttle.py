"""Slows down guessing: by address, by account, and by both together.

Counts are rows, so they hold across processes and restarts. One row is one number, the time at which its bucket will
be full again (generic cell rate algorithm, ITU-T I.371). An attempt is counted before the password is looked at, so
that parallel attempts gain nothing; a right password gives its account's attempts back.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from carillon.kernel.errors import Throttled
from carillon.storage.database import Database, Tx
from carillon.storage.resources import Resources
from carillon.storage.vault import Vault

# A conflicting row that has no room is not updated, and nothing is returned.
_SPEND = """
INSERT INTO identity.sign_in_throttle AS bucket (key, full_at)
VALUES (:key, CAST(:now AS timestamptz) + CAST(:interval AS interval))
ON CONFLICT (key) DO UPDATE SET full_at = greatest(bucket.full_at, :now) + :interval
WHERE greatest(bucket.full_at, :now) + :interval <= CAST(:now AS timestamptz) + CAST(:window AS interval)
RETURNING full_at
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One count.

    Attributes:
        name: What is counted, with its key; hashed before it is stored.
        depth: Attempts possible at once.
        interval: Time after which one more is possible.
    """

    name: str
    depth: int
    interval: timedelta

    def key(self, vault: Vault) -> bytes:
        """What is stored."""
        return vault.keyed_hash("sign-in throttle", self.name.encode())


def sign_in_buckets(email: str, address: str) -> list[Bucket]:
    """The counts of a sign-in attempt: 5 from one address for one account, 20 for an account, 30 from an address."""
    network = _network(address)
    return [
        Bucket(f"both {network} {email}", 5, timedelta(minutes=1)),
        Bucket(f"account {email}", 20, timedelta(minutes=1)),
        Bucket(f"address {network}", 30, timedelta(seconds=10)),
    ]


def account_buckets(email: str, address: str) -> list[Bucket]:
    """Those of them that a right password gives back: not the address's, or one's own account would reset it."""
    return sign_in_buckets(email, address)[:2]


def second_factor_bucket(user_id: UUID) -> Bucket:
    """Only who has the password gets here, so it may be slow without locking anybody out: about 100 codes a day."""
    return Bucket(f"second factor {user_id}", 5, timedelta(minutes=15))


def confirmation_bucket(user_id: UUID) -> Bucket:
    """Asking for the password again, in a session that may be somebody else's by now."""
    return Bucket(f"confirmation {user_id}", 5, timedelta(minutes=5))


async def spend(database: Database, vault: Vault, buckets: Sequence[Bucket], now: datetime) -> None:
    """Count an attempt in all of them, in a transaction of its own that stays whatever becomes of the caller's.

    Raises:
        Throttled: One is used up; nothing was counted.
    """
    async with database.across_tenants() as tx:
        await spend_in(tx, vault, buckets, now)


async def spend_in(tx: Tx, vault: Vault, buckets: Sequence[Bucket], now: datetime) -> None:
    """The same in the caller's transaction, which must commit.

    Raises:
        Throttled: One is used up; the transaction must roll back.
    """
    # One order for all, so that two attempts never wait for each other.
    for bucket in sorted(buckets, key=lambda one: one.key(vault)):
        key = bucket.key(vault)
        window = bucket.interval * bucket.depth
        params = {"key": key, "now": now, "interval": bucket.interval, "window": window}
        if await tx.scalar(_SPEND, params) is None:
            full_at = await tx.scalar("SELECT full_at FROM identity.sign_in_throttle WHERE key = :key", {"key": key})
            wait = (full_at + bucket.interval - window - now).total_seconds()
            raise Throttled(retry_after=max(1.0, wait))


async def forgive(tx: Tx, vault: Vault, buckets: Sequence[Bucket]) -> None:
    """Give everything back."""
    for key in sorted(bucket.key(vault) for bucket in buckets):
        await tx.execute("DELETE FROM identity.sign_in_throttle WHERE key = :key", {"key": key})


async def purge(resources: Resources) -> int:
    """Remove counts that are back at rest; returns how many."""
    async with resources.database.across_tenants() as tx:
        result = await tx.execute(
            "DELETE FROM identity.sign_in_throttle WHERE full_at < :now", {"now": resources.clock.now()}
        )
        return result.rowcount


def _network(address: str) -> str:
    """An IPv6 subscriber has a whole /64 (RFC 6177); anything that is no address counts as itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
