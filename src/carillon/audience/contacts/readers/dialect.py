"""Finds the dialect of a delimited file: the delimiter that cuts most rows into the same number of cells."""

import csv
import re
from collections import Counter
from io import StringIO
from itertools import islice
from typing import Any

from .contract import Dialect

_DELIMITERS = (",", ";", "\t", "|")
_ROWS = 200


def guess_dialect(sample: str) -> Dialect:
    """Return the most plausible dialect of a sample of whole lines.

    A single column of values gives the comma. Quotes are `"` unless apostrophes clearly enclose cells.
    """
    best = max(_DELIMITERS, key=lambda delimiter: _score(sample, delimiter))
    quote = _quote(sample, best)
    escape = "\\" if quote and _escapes(sample, best, quote) else ""
    spaced = sample.count(f"{best} {quote}") * 2 > sample.count(f"{best}{quote}") if quote else False
    return Dialect(best, quote, escape, skip_spaces=spaced and f"{best} {quote}" in sample)


def reader_options(dialect: Dialect) -> dict[str, Any]:
    """Return the dialect as keyword arguments of `csv.reader`."""
    return {
        "delimiter": dialect.delimiter,
        "quotechar": dialect.quote or None,
        "quoting": csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        "escapechar": dialect.escape or None,
        "skipinitialspace": dialect.skip_spaces,
        "doublequote": True,
        "strict": False,
    }


def _score(sample: str, delimiter: str) -> tuple[float, int]:
    """Return how many rows agree with the header, weighed by width: higher is more plausible."""
    if delimiter not in sample:
        return 0.0, 0
    rows = _parse(sample, delimiter)
    if not rows or len(rows[0]) == 1:
        return 0.0, 0
    widths = Counter(map(len, rows))
    agreeing = widths[len(rows[0])] / len(rows)
    return round(agreeing, 1), len(rows[0])


def _parse(sample: str, delimiter: str) -> list[list[str]]:
    rows = csv.reader(StringIO(sample, newline=""), delimiter=delimiter)
    try:
        return [row for row in islice(rows, _ROWS) if row]
    except csv.Error:
        lines = [line for line in sample.splitlines()[:_ROWS] if line]
        return [line.split(delimiter) for line in lines]


def _quote(sample: str, delimiter: str) -> str:
    """Apostrophes are quotes only where they enclose cells and double quotes never do."""
    if _enclosing(sample, delimiter, '"') == 0 and _enclosing(sample, delimiter, "'") > 1:
        return "'"
    return '"'


def _enclosing(sample: str, delimiter: str, quote: str) -> int:
    between = sample.count(f"{quote}{delimiter}{quote}") * 2
    starts = sample.count(f"{delimiter}{quote}") + sample.count(f"\n{quote}") + sample.startswith(quote)
    ends = sample.count(f"{quote}{delimiter}") + sample.count(f"{quote}\n") + sample.count(f"{quote}\r")
    return between + min(starts, ends)


def _escapes(sample: str, delimiter: str, quote: str) -> bool:
    """A backslash escapes where it precedes quotes inside cells and quotes are never doubled there."""
    inside = f"[^{re.escape(delimiter + quote)}\\r\\n]"
    escaped = re.search(rf"\\{quote}{inside}", sample)
    return escaped is not None and re.search(f"{inside}{quote}{quote}{inside}", sample) is None
