"""Cron in a time zone: what is a valid expression, and when it comes round next."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from croniter import croniter
from croniter.croniter import CroniterError

LONGEST = 100
"""Characters of an expression."""

_FIELD = re.compile(
    r"(?:[0-9*,/#-]|\b(?:sun|mon|tue|wed|thu|fri|sat)\b|"
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\b)+",
    re.IGNORECASE,
)
_NEAR = timedelta(hours=3)
"""No zone puts its clock further at once nowadays."""


def fault(expression: str) -> str | None:
    """What is wrong with a cron expression of five fields; None when nothing is."""
    fields = expression.split()
    if len(fields) != 5 or len(expression) > LONGEST:  # noqa: PLR2004 - see the message
        return "Write five fields: minute, hour, day of month, month, day of week, e.g. 0 9 * * 1 for Mondays at nine."
    wrong = next((field for field in fields if not _FIELD.fullmatch(field)), None)
    if wrong is not None:
        return f"“{wrong}” is not a cron field."
    try:
        # Also finds what is well written but never comes round, such as 30 February.
        croniter(expression, datetime(2024, 1, 1)).get_next(datetime)  # noqa: DTZ001 - wall-clock time
    except (CroniterError, ValueError, KeyError, IndexError):
        return "This never comes round, or a number is out of range."
    return None


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: str) -> bool:
    """Whether it is the IANA name of a time zone."""
    return name in _zones()


def next_time(expression: str, zone: str, after: datetime) -> datetime:
    """The next time after this moment, UTC.

    The expression is about the wall clock of the zone, so daylight saving does not move nine o'clock. A time that
    the clock leaves out comes as much later; one that the clock shows twice comes once, unless the hour is a
    wildcard: "every ten minutes" goes on through the repeated hour.

    Args:
        expression: Without `fault`.
        zone: IANA name.
        after: UTC-aware.
    """
    here = ZoneInfo(zone)
    wall = after.astimezone(here).replace(tzinfo=None)
    twice = expression.split()[1].startswith("*")
    begin, end = (wall - _NEAR, wall + _NEAR) if _changes(here, after) else (wall, wall)
    best: datetime | None = None
    for candidate in _walls(expression, begin):
        moments = [moment for moment in _moments(candidate, here, twice=twice) if moment > after]
        best = min([*moments, *([best] if best else [])], default=None)
        if best is not None and candidate >= end:
            return best
    raise AssertionError  # pragma: no cover - the walls never end


def _changes(zone: ZoneInfo, at: datetime) -> bool:
    """Whether the clock is put forward or back about this time: then walls and moments are not in one order."""
    return (at - _NEAR).astimezone(zone).utcoffset() != (at + _NEAR).astimezone(zone).utcoffset()


def _walls(expression: str, after: datetime) -> Iterator[datetime]:
    steps = croniter(expression, after)
    while True:
        wall: datetime = steps.get_next(datetime)
        yield wall


def _moments(wall: datetime, zone: ZoneInfo, *, twice: bool) -> Iterator[datetime]:
    for fold in (0, 1) if twice else (0,):
        yield wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
