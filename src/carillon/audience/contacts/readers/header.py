"""Names the columns by the header row, or refuses a header that is no header."""

import re
from itertools import count

from .contract import ReaderLimits
from .errors import NoHeader, TooManyColumns
from .text import NUL, clean

_PHONE = re.compile(r"\+?[\d\s().\-]{7,24}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_ENOUGH_DIGITS = 7
_FIRST_COPY = 2


def looks_like_data(cells: list[str]) -> bool:
    """Tell whether a first row holds a contact rather than names of columns."""
    filled = [text for cell in cells if (text := cell.strip())]
    return any(_is_datum(text) for text in filled)


def _is_datum(text: str) -> bool:
    digits = sum(map(str.isdigit, text))
    is_phone = digits >= _ENOUGH_DIGITS and _PHONE.fullmatch(text) is not None
    return is_phone or _EMAIL.fullmatch(text) is not None


def name_columns(cells: list[str], limits: ReaderLimits, *, has_header: bool | None) -> list[str]:
    """Return unique names of the columns.

    Args:
        cells: The first row that is not blank.
        limits: Its `max_columns` holds.
        has_header: True: take the row as names; False: it is data, number the columns; None: refuse data.

    Raises:
        NoHeader: The row is data, or blank.
        TooManyColumns: There are more than allowed.
    """
    if len(cells) > limits.max_columns:
        raise TooManyColumns(place="row 1", columns=len(cells), allowed=limits.max_columns)
    if has_header is False:
        return [f"column {index}" for index in range(1, len(cells) + 1)]
    names = [" ".join(clean(cell).replace(NUL, "").split()) for cell in cells]
    if not any(names) or (has_header is None and looks_like_data(names)):
        raise NoHeader(place="row 1", first_row=names[:20])
    return _unique([name or f"column {index}" for index, name in enumerate(names, 1)])


def _unique(names: list[str]) -> list[str]:
    taken = set(names)
    seen: set[str] = set()
    result = []
    for name in names:
        unique = name
        for copy in count(2):
            if unique not in seen and (copy == _FIRST_COPY or unique not in taken):
                break
            unique = f"{name} ({copy})"
        seen.add(unique)
        result.append(unique)
    return result
