"""Checks of time zones, languages and regions, which tenants and people both have."""

import re
import unicodedata
from functools import cache
from zoneinfo import available_timezones

import phonenumbers

# The shape of a tag (RFC 5646): language, script, region, variants; not whether it is registered.
_TAG = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?(-[a-z0-9]{5,8})*")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_time_zone(name: str) -> bool:
    """Whether the time zone data has this name."""
    return name in _zones()


def is_language(tag: str) -> bool:
    """Whether it has the form of a language tag, e.g. `zh-CN`."""
    return _TAG.fullmatch(tag) is not None


def is_region(code: str) -> bool:
    """Whether phone numbers can be read for this country code."""
    return code in phonenumbers.SUPPORTED_REGIONS


def is_shown_name(name: str) -> bool:
    """Whether a name can be shown as it stands: something in it, and no direction overrides or control characters."""
    return bool(name.strip()) and all(
        unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co"} or letter == "\u200d" for letter in name
    )
