"""Pages of long lists."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, newest or best first.

    Attributes:
        items: The rows of this page.
        next_cursor: Hand it back to get the next page; None on the last.
    """

    items: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is wanted: at most `limit` rows (1 to 200) after `cursor`."""

    limit: int = 50
    cursor: str | None = None
