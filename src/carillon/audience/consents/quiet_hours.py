"""Quiet hours: nobody gets a campaign message at night, by the clock on their own wall.

The rule is about the wall clock: a time is quiet when the local time lies in [start, end). So on a day whose clock
is set back, a quiet quarter of an hour may come twice, and one that a clock skips does not come at all.

Of a person whose zone is unknown all candidate zones must be awake. When no moment of the next day suits them all
(they lie too far apart: say, a number that could be in Kamchatka or in Lisbon), we take the least bad one: the
earliest at which the most candidates are awake.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from .contracts import Policy

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
# Two full days: a common moment, if there is one, comes within one day, or two where a clock changes.
_HORIZON = 2 * _DAY


def quiet_until(policy: Policy, zones: tuple[str, ...], at: datetime) -> datetime | None:
    """When a person may be written to, if not at once.

    Args:
        policy: The tenant's.
        zones: IANA names, the person's zone or all candidates; none that we know means the policy's own zone.
        at: The moment asked about, UTC-aware.

    Returns:
        None when it is not quiet at `at`, else the earliest later moment (UTC) that is not.
    """
    if policy.quiet_start == policy.quiet_end:
        return None
    minute = at.astimezone(UTC).replace(second=0, microsecond=0)
    return _quiet_until(policy.quiet_start, policy.quiet_end, zones, policy.time_zone, minute)


@lru_cache(maxsize=65536)
def _quiet_until(start: time, end: time, zones: tuple[str, ...], fallback: str, minute: datetime) -> datetime | None:
    known = tuple(dict.fromkeys(zone for zone in zones if _zone(zone))) or (fallback,)
    moment = _all_awake(start, end, known, minute)
    if moment is None:
        moment = _most_awake(start, end, known, minute)
    return None if moment == minute else moment


def _all_awake(start: time, end: time, zones: tuple[str, ...], minute: datetime) -> datetime | None:
    """The earliest moment from `minute` on at which every zone is awake; None when there is none."""
    moment = minute
    while moment - minute < _HORIZON:
        latest = max(_awake_from(start, end, zone, moment) for zone in zones)
        if latest == moment:
            return moment
        moment = latest
    return None


def _most_awake(start: time, end: time, zones: tuple[str, ...], minute: datetime) -> datetime:
    # The number of people awake grows only when somebody's night ends; `max` keeps the earliest of equals.
    moments = sorted({minute, *(_next_morning(start, end, zone, minute) for zone in zones)})
    return max(moments, key=lambda moment: sum(_awake_from(start, end, zone, moment) == moment for zone in zones))


def _next_morning(start: time, end: time, zone: str, minute: datetime) -> datetime:
    """When the zone's present night ends, or if it is awake, its next one."""
    evening = _first_flip(zone, minute, lambda local: _is_quiet(start, end, local), start)
    return _awake_from(start, end, zone, evening)


@lru_cache(maxsize=65536)
def _awake_from(start: time, end: time, zone: str, minute: datetime) -> datetime:
    """The earliest moment from `minute` on that is not quiet in the zone."""
    return _first_flip(zone, minute, lambda local: not _is_quiet(start, end, local), end)


def _is_quiet(start: time, end: time, local: time) -> bool:
    return start <= local < end if start < end else local >= start or local < end


def _first_flip(zone: str, minute: datetime, wanted: Callable[[time], bool], edge: time) -> datetime:
    """The first moment from `minute` on whose local time is wanted: now, at the edge, or where the clock jumps."""
    info = _zone(zone) or ZoneInfo("UTC")
    if wanted(minute.astimezone(info).time()):
        return minute
    moments = (*_occurrences(info, minute, edge), *_clock_changes(info, minute))
    return min(moment for moment in moments if moment > minute and wanted(moment.astimezone(info).time()))


def _occurrences(info: ZoneInfo, minute: datetime, edge: time) -> Iterator[datetime]:
    """When the local clock shows the time, about the next three days; both times where it is set back."""
    today = minute.astimezone(info).date()
    for days in range(4):
        for fold in (0, 1):
            local = datetime.combine(today + timedelta(days=days), edge, info).replace(fold=fold)
            yield local.astimezone(UTC)


def _clock_changes(info: ZoneInfo, minute: datetime) -> Iterator[datetime]:
    """When the zone's offset changes within the next three days, to the minute."""
    for day in range(3):
        low, high = minute + day * _DAY, minute + (day + 1) * _DAY
        before = low.astimezone(info).utcoffset()
        if high.astimezone(info).utcoffset() == before:
            continue
        while high - low > _MINUTE:
            middle = low + (high - low) // 2 // _MINUTE * _MINUTE
            if middle.astimezone(info).utcoffset() == before:
                low = middle
            else:
                high = middle
        yield high


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    """The zone, or None for a name that the time zone data do not know."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None
