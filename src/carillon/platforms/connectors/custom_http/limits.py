"""How fast a tenant's own server is called unless its settings say less."""

from collections.abc import Mapping

from carillon.platforms.connectors.port import Limits, Rate

MAX_RATE = 100.0


def limits_for(settings: Mapping[str, object]) -> Limits:
    """`rate_per_second` of the settings, at most `MAX_RATE`, and their `daily_unique`."""
    rate, daily = settings.get("rate_per_second"), settings.get("daily_unique")
    count = min(MAX_RATE, float(rate)) if isinstance(rate, int | float) and rate > 0 else MAX_RATE
    unique = daily if isinstance(daily, int) and daily >= 0 else None
    return Limits(account=Rate(count, 1, burst=max(1, int(count))), daily_unique=unique)
