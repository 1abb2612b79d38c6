"""How fast a tenant's own server is called."""

from collections.abc import Mapping

from carillon.platforms.connectors.port import Limits, Rate

USUAL_RATE = 100.0
"""Where the settings say nothing."""
MAX_RATE = 10_000.0


def limits_for(settings: Mapping[str, object]) -> Limits:
    """`rate_per_second` and `daily_unique` of the settings: the server is the tenant's, who knows what it bears."""
    rate, daily = settings.get("rate_per_second"), settings.get("daily_unique")
    count = min(MAX_RATE, float(rate)) if isinstance(rate, int | float) and rate > 0 else USUAL_RATE
    unique = daily if isinstance(daily, int) and daily >= 0 else None
    return Limits(account=Rate(count, 1, burst=max(1, int(count))), daily_unique=unique)
