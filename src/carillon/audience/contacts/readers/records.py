"""Cuts delimited lines into records one at a time, knowing the bytes of each: the careful way of `delimited`."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .contract import RAW_SHOWN, Position
from .lines import LineTooLong
from .text import NUL, clean, clean_cells

_TEXTS = {
    "undecodable": "A byte does not belong to the file's encoding.",
    "nul": "The row holds a NUL character.",
    "row_too_long": "The row is longer than allowed.",
    "cell_too_long": "A cell is longer than allowed.",
    "unclosed_quote": "A quote is opened and never closed.",
    "stray_return": "A line break of another kind stands inside the row.",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record between the bytes `offset` and `end`: its cells, or else the `code` of its fault.

    With `recovers`, the record was given up after its first line and reading goes on at `end`, not behind
    whatever the open quote swallowed.
    """

    number: int
    offset: int
    end: int
    cells: list[str] | None
    head: bytes
    code: str = ""
    bad_byte: int = 0
    recovers: bool = False

    @property
    def text(self) -> str:
        """What a person should read about the fault."""
        return _TEXTS[self.code]

    def shown(self, encoding: str) -> str:
        """Return the beginning of the record as text for people."""
        text = self.head.decode(encoding, errors="replace").replace(NUL, "\ufffd")
        return clean(text).rstrip("\n")[:RAW_SHOWN]


_HEAD = 4 * RAW_SHOWN


class _RowTooLongError(Exception):
    """The record has passed the limit."""


@dataclass(slots=True)
class _Feed:
    """Gives `csv.reader` its lines and remembers which bytes the present record took."""

    lines: Iterator[bytes]
    encoding: str
    longest: int
    taken: list[bytes] = field(default_factory=list)
    size: int = 0
    bad_at: int = -1
    ended: bool = False

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = next(self.lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        before = self.size
        self.taken.append(line)
        self.size += len(line)
        if self.size > self.longest:
            raise _RowTooLongError
        return self._decode(line, before)

    def _decode(self, line: bytes, before: int) -> str:
        try:
            return line.decode(self.encoding)
        except UnicodeDecodeError as error:
            if self.bad_at < 0:
                self.bad_at = before + error.start
            return line.decode(self.encoding, errors="replace")

    def restart(self) -> None:
        """Begin a new record."""
        self.taken.clear()
        self.size = 0
        self.bad_at = -1

    def head(self) -> bytes:
        """Return the beginning of the record."""
        first = self.taken[0] if self.taken else b""
        return first[:_HEAD] if len(self.taken) <= 1 else b"".join(self.taken[:10])[:_HEAD]


def records(
    lines: Iterator[bytes], position: Position, encoding: str, options: dict[str, Any], longest: int
) -> Iterator[Record]:
    """Yield the records behind `position`; ends after the first that `recovers`, for there one must start anew."""
    feed = _Feed(lines, encoding, longest)
    reader = csv.reader(feed, **options)
    offset, number = position.offset, position.number
    while True:
        number += 1
        feed.restart()
        try:
            cells: list[str] | None = next(reader, None)
            code = _fault_of(feed, cells)
        except LineTooLong as signal:
            yield Record(number, offset, signal.end, None, signal.head, "row_too_long", signal.start, True)
            return
        except (csv.Error, _RowTooLongError) as error:
            cells, code = None, _code_of(error, len(feed.taken))
        if cells is None and not code:
            return
        yield (record := _record(feed, number, offset, None if code else cells, code))
        if record.recovers:
            return
        offset = record.end


def _record(feed: _Feed, number: int, offset: int, cells: list[str] | None, code: str) -> Record:
    if cells is not None:
        return Record(number, offset, offset + feed.size, clean_cells(cells), feed.head())
    recovers = code == "unclosed_quote" and len(feed.taken) > 1
    end = offset + (len(feed.taken[0]) if recovers else feed.size)
    bad_byte = offset + max(feed.bad_at, 0)
    return Record(number, offset, end, None, feed.head(), code, bad_byte, recovers)


def _fault_of(feed: _Feed, cells: list[str] | None) -> str:
    """Return the fault of a record that was cut; at the end of the file an open quote shows as `ended`."""
    if cells is None:
        return ""
    if feed.ended and feed.taken:
        return "unclosed_quote"
    if feed.bad_at >= 0:
        return "undecodable"
    return "nul" if NUL in "".join(cells) else ""


def _code_of(error: Exception, lines: int) -> str:
    if lines > 1:
        return "unclosed_quote"
    if isinstance(error, _RowTooLongError):
        return "row_too_long"
    return "cell_too_long" if "limit" in str(error) else "stray_return"
