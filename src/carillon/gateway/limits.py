"""Rate limits in this process: the generic cell rate algorithm (GCRA, ITU-T I.371), one number per key.

Behind several API processes each counts for itself, so a tenant's total is at most the limit times the processes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from carillon.kernel.errors import Throttled


@dataclass(frozen=True, slots=True)
class Rate:
    """How much is allowed.

    Attributes:
        limit: Requests in a period; 0 allows everything.
        period: In seconds.
        burst: How many may come at once; the whole limit when left out.
    """

    limit: int
    period: float = 60.0
    burst: int | None = None

    @property
    def interval(self) -> float:
        """Seconds that one request uses up."""
        return self.period / self.limit

    @property
    def depth(self) -> int:
        """How many may come at once."""
        return self.burst if self.burst is not None else self.limit


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands.

    Attributes:
        limit: Most requests at once.
        remaining: Requests left right now.
        reset: Seconds until everything is available again.
        retry_after: Seconds until the next request is allowed; 0 when this one was.
    """

    limit: int
    remaining: int
    reset: float
    retry_after: float = 0.0

    def headers(self) -> dict[str, str]:
        """The `RateLimit-*` headers (draft-ietf-httpapi-ratelimit-headers-03)."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(math.ceil(self.reset)),
        }


class Limiter:
    """Counts requests per key under one rate.

    A key costs one float while it is in use and is forgotten when it is back at rest, so memory follows the
    number of keys seen within a period and not all that ever came.
    """

    def __init__(self, rate: Rate, now: Callable[[], float]) -> None:
        """Create the limiter; `now` gives seconds that never jump, e.g. `Clock.boottime`."""
        self.rate = rate
        self._now = now
        # The theoretical arrival time: when the bucket of the key will be full again.
        self._full_at: dict[str, float] = {}
        self._sweep_at = 0.0

    def spend(self, key: str, cost: int = 1) -> Standing:
        """Count requests of a key.

        Raises:
            Throttled: It has no more; nothing was counted.
        """
        standing = self.try_spend(key, cost)
        if standing.retry_after:
            raise Throttled(retry_after=standing.retry_after)
        return standing

    def try_spend(self, key: str, cost: int = 1) -> Standing:
        """Count requests of a key if it has that many left; `retry_after` tells when it will."""
        rate = self.rate
        if not rate.limit:
            return Standing(limit=0, remaining=0, reset=0.0)
        now = self._now()
        self._sweep(now)
        window = rate.interval * rate.depth
        current = max(self._full_at.get(key, now), now)
        wanted = current + rate.interval * cost
        if wanted - now > window + 1e-9:
            return Standing(rate.depth, self._left(current - now), current - now, wanted - now - window)
        self._full_at[key] = wanted
        return Standing(rate.depth, self._left(wanted - now), wanted - now)

    def forget(self, key: str) -> None:
        """Give a key everything back, e.g. after a successful sign-in."""
        self._full_at.pop(key, None)

    def _left(self, used: float) -> int:
        return max(0, math.floor(self.rate.depth - used / self.rate.interval + 1e-9))

    def _sweep(self, now: float) -> None:
        if now < self._sweep_at:
            return
        self._sweep_at = now + self.rate.period
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
