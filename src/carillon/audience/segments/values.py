"""Values of conditions: JSON in, checked Python out. Every reader names the place of what it refuses."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from .errors import RuleInvalid

Read = Callable[[Any, str], Any]

_LONGEST = 1000
_MOST = 10_000
_LARGEST = 10**15
_MOST_DAYS = 36_500


def refuse(message: str, place: str) -> NoReturn:
    """Raise `RuleInvalid` with its place."""
    raise RuleInvalid(message, place=place)


def text(value: Any, place: str) -> str:
    """A text of 1 to 1,000 characters that PostgreSQL can hold."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        refuse(f"A text of 1 to {_LONGEST} characters is wanted.", place)
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
        refuse("The text has a character that cannot be stored.", place)
    return value


def number(value: Any, place: str) -> Decimal:
    """A number that is finite and below 10^15."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        refuse("A number below 1,000,000,000,000,000 is wanted.", place)
    return Decimal(str(value))


def boolean(value: Any, place: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        refuse("true or false is wanted.", place)
    return value


def day(value: Any, place: str) -> str:
    """A calendar date, as ISO text: that is how custom fields keep it, and its order is that of time."""
    try:
        return date.fromisoformat(text(value, place)).isoformat()
    except ValueError:
        refuse("A date as in 2026-11-23 is wanted.", place)


def moment(value: Any, place: str) -> datetime:
    """A moment with its offset from UTC."""
    try:
        found = datetime.fromisoformat(text(value, place))
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    refuse("A time with its offset, as in 2026-11-23T19:00:00Z, is wanted.", place)


def days(value: Any, place: str) -> int:
    """A whole number of days."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_DAYS:
        refuse(f"A whole number of days, 0 to {_MOST_DAYS}, is wanted.", place)
    return value


def identifier(value: Any, place: str) -> UUID:
    """A UUID."""
    try:
        return UUID(text(value, place))
    except ValueError:
        refuse("An id (UUID) is wanted.", place)


def nothing(value: Any, place: str) -> None:
    """No value at all."""
    if value is not None:
        refuse("This operator takes no value.", place)


def one_of(*names: str) -> Read:
    """A reader of one of some words."""

    def read(value: Any, place: str) -> str:
        if not isinstance(value, str) or value not in names:
            refuse(f"One of {', '.join(names)} is wanted.", place)
        return value

    return read


def several(read: Read) -> Read:
    """A reader of a list of 1 to 10,000 values."""

    def read_all(value: Any, place: str) -> list[Any]:
        if not isinstance(value, list) or not 0 < len(value) <= _MOST:
            refuse(f"A list of 1 to {_MOST} values is wanted.", place)
        return [read(item, f"{place}[{index}]") for index, item in enumerate(value)]

    return read_all


def pair(read: Read) -> Read:
    """A reader of two values, the smaller first."""

    def read_both(value: Any, place: str) -> tuple[Any, Any]:
        if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - a pair
            refuse("A list of two values is wanted.", place)
        low, high = (read(item, f"{place}[{index}]") for index, item in enumerate(value))
        if low > high:
            refuse("The first value is larger than the second.", place)
        return low, high

    return read_both
