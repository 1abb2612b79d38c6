"""Columns of a batch as PostgreSQL array literals, for statements over thousands of rows.

The driver takes lists too, but looks at every element to see whether it is a list itself: for a million rows of
twenty columns that alone is half a minute. A literal is made by C from end to end.
"""

import os
import time
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

# No text of ours holds it: readers refuse a row with a NUL.
_BETWEEN = "\0"


def texts(values: Iterable[str | None]) -> str:
    """A literal of `text[]`; None becomes an empty text, which statements turn into NULL by `nullif`."""
    return _literal([value or "" for value in values])


def ids(values: Iterable[UUID]) -> str:
    """A literal of `uuid[]`."""
    return "{" + ",".join([value.hex for value in values]) + "}"


def numbers(values: Iterable[int]) -> str:
    """A literal of `bigint[]`."""
    return "{" + ",".join(map(str, values)) + "}"


def instants(values: Iterable[datetime | None]) -> str:
    """A literal of `timestamptz[]`."""
    return "{" + ",".join(["NULL" if value is None else value.isoformat() for value in values]) + "}"


def _literal(values: list[str]) -> str:
    if not values:
        return "{}"
    joined = _BETWEEN.join(values)
    if "\\" in joined:
        joined = joined.replace("\\", "\\\\")
    if '"' in joined:
        joined = joined.replace('"', '\\"')
    return '{"' + joined.replace(_BETWEEN, '","') + '"}'


def new_ids(count: int) -> list[UUID]:
    """Ids as `kernel.ids.uuid7` makes them (RFC 9562, method 3), in order, with one call for all the randomness."""
    first = (time.time_ns() << 12) // 1_000_000
    noise = os.urandom(8 * count)
    made = []
    for index in range(count):
        tick = first + index
        value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62
        made.append(UUID(int=value | int.from_bytes(noise[8 * index : 8 * index + 8]) >> 2))
    return made
