"""Pacing by GCRA (the leaky bucket of ITU-T I.371) in the one process that owns the account.

Because an account has one owner, its limits need no shared store. A bucket is one float: the theoretical arrival
time. `Pacer.room` says how many messages may go and how long until the next; `Pacer.take` uses up their slots.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from uuid import UUID

from carillon.platforms.connectors.port import Limits, Rate

_FORGET_ABOVE = 50_000
_ANY = 1_000_000


@dataclass(slots=True)
class Bucket:
    """One rate limit; times are seconds of a clock that does not jump."""

    rate: Rate
    arrival: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next one conforms; 0 is now."""
        interval = self.rate.seconds / self.rate.count
        return max(0.0, self.arrival - interval * (self.rate.burst - 1) - now)

    def room(self, now: float) -> int:
        """How many conform now."""
        interval = self.rate.seconds / self.rate.count
        # A millionth of an interval: what sums of floats lose must not cost a message its turn.
        return (
            max(0, self.rate.burst - math.ceil((self.arrival - now) / interval - 1e-6))
            if self.arrival > now
            else self.rate.burst
        )

    def take(self, now: float, count: int = 1) -> None:
        """Count some."""
        self.arrival = max(now, self.arrival) + count * self.rate.seconds / self.rate.count


def per_second(count: float) -> Rate | None:
    """A limit of so many a second, of which a second's worth may go at once; None for 0."""
    return Rate(count, 1.0, burst=max(1, int(count))) if count > 0 else None


@dataclass(slots=True)
class Pacer:
    """The limits of the accounts this process owns: tenant, portfolio, account, then chat.

    Floods reported by the platform are pauses: nothing goes before they end.
    """

    tenant: Rate | None = None
    """Sends of all accounts of one tenant in this process."""
    _buckets: dict[Hashable, Bucket] = field(default_factory=dict)
    _pauses: dict[Hashable, float] = field(default_factory=dict)

    def tenant_room(self, tenant: UUID, now: float) -> tuple[int, float]:
        """How many messages the tenant's accounts may send now; when none, how many seconds until one may go."""
        if self.tenant is None:
            return _ANY, 0.0
        bucket = self._bucket(("tenant", tenant), self.tenant)
        return bucket.room(now), bucket.wait(now)

    def room(self, account: UUID, portfolio: str | None, limits: Limits, now: float) -> tuple[int, float]:
        """How many messages the account may send now; when none, how many seconds until one may go."""
        paused = self._pauses.get(account, 0.0) - now
        if paused > 0:
            return 0, paused
        buckets = self._of(account, portfolio, limits)
        return min(bucket.room(now) for bucket in buckets), max(bucket.wait(now) for bucket in buckets)

    def peer_wait(self, account: UUID, peer: str, limits: Limits, now: float) -> float:
        """Seconds until the account may send to this chat, as far as the account itself may."""
        if limits.peer is None and not self._pauses:
            return 0.0
        paused = self._pauses.get((account, peer), 0.0) - now
        return max(0.0, paused, 0.0 if limits.peer is None else self._bucket((account, peer), limits.peer).wait(now))

    def take(
        self, tenant: UUID, account: UUID, portfolio: str | None, limits: Limits, now: float, count: int = 1
    ) -> None:
        """Count messages of an account."""
        if self.tenant is not None:
            self._bucket(("tenant", tenant), self.tenant).take(now, count)
        for bucket in self._of(account, portfolio, limits):
            bucket.take(now, count)

    def take_peer(self, account: UUID, peer: str, limits: Limits, now: float) -> None:
        """Count a message to a chat."""
        if limits.peer is not None:
            self._bucket((account, peer), limits.peer).take(now)

    def pause(self, account: UUID, seconds: float, now: float, peer: str | None = None) -> None:
        """Let nothing go from the account, or only nothing to one chat, for so long."""
        key: Hashable = account if peer is None else (account, peer)
        self._pauses[key] = max(self._pauses.get(key, 0.0), now + seconds)

    def account_wait(self, account: UUID, limits: Limits, now: float) -> float:
        """Seconds until the account as a whole may send again."""
        bucket = self._bucket(account, limits.account)
        return max(0.0, bucket.wait(now), self._pauses.get(account, 0.0) - now)

    def forget_idle(self, now: float) -> None:
        """Drop buckets and pauses that no longer hold anything back."""
        if len(self._buckets) + len(self._pauses) < _FORGET_ABOVE:
            return
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket.arrival > now}
        self._pauses = {key: until for key, until in self._pauses.items() if until > now}

    def _of(self, account: UUID, portfolio: str | None, limits: Limits) -> list[Bucket]:
        buckets = [self._bucket(account, limits.account)]
        if limits.portfolio is not None and portfolio is not None:
            buckets.append(self._bucket(portfolio, limits.portfolio))
        return buckets

    def _bucket(self, key: Hashable, rate: Rate) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate)
        bucket.rate = rate
        return bucket
