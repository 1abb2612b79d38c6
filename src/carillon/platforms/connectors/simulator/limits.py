"""What the simulated platforms allow: the published figures of the real ones, which an account may lower."""

from collections.abc import Mapping
from dataclasses import replace

from carillon.platforms.connectors.port import Limits, Platform, Rate

LIMITS: Mapping[Platform, Limits] = {
    # core.telegram.org/bots/faq: about 30 messages a second overall, one a second in a chat.
    Platform.TELEGRAM: Limits(account=Rate(30, 1, burst=30), peer=Rate(1, 1, burst=3)),
    # developers.facebook.com, Cloud API: 80 messages a second a number; one pair 1 in 6 s with bursts of 45.
    Platform.WHATSAPP: Limits(account=Rate(80, 1, burst=80), peer=Rate(1, 6, burst=45)),
}


def lowered(limits: Limits, settings: Mapping[str, object]) -> Limits:
    """`limits` as the account's `rate_per_second` and `daily_unique` lower them; they never raise them."""
    rate = settings.get("rate_per_second")
    if isinstance(rate, int | float) and 0 < rate < limits.account.count / limits.account.seconds:
        limits = replace(limits, account=Rate(float(rate), 1, burst=max(1, int(rate))))
    daily = settings.get("daily_unique")
    if isinstance(daily, int) and 0 <= daily < (limits.daily_unique or daily + 1):
        limits = replace(limits, daily_unique=daily)
    return limits
