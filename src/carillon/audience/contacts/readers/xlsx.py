"""Reads a sheet of an XLSX workbook row by row.

The sheet's XML is parsed as it unpacks, so memory holds one chunk, one batch and the table of shared strings.
A library that loads the sheet as a grid is no choice here: one cell at XFD1048576 in a 5 KB file makes it ask
for 512 GB and ends the process, and ordinary sheets cost 0.7 KB a row.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from .archive import open_archive
from .contract import BATCH, RAW_SHOWN, Batch, FileKind, Position, Reader, ReaderLimits, RowFault, SourceRow, gather
from .errors import EmptyFile
from .header import name_columns
from .text import NUL, clean_cells
from .xlsx_parts import (
    Attributes,
    SharedStrings,
    Workbook,
    date_styles,
    find_sheet,
    local,
    new_parser,
    parse_steps,
    read_strings,
    unescape,
)

_LETTERS = {letter: index for index, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1)}
_EXACT_INTEGER = 1e15
_SECONDS_A_DAY = 86_400
_LAST_SERIAL = 2_958_466
_WIDEST = 16_384
_BYTES_A_ROW = 60


@dataclass(slots=True)
class _Sheet:
    """Turns the parser's events into rows of (sheet row number, cells by column)."""

    strings: SharedStrings
    dates: frozenset[str]
    epoch: datetime
    longest: int
    rows: list[tuple[int, dict[int, str]]] = field(default_factory=list)
    _number: int = 0
    _cells: dict[int, str] = field(default_factory=dict)
    _column: int = 0
    _kind: str = ""
    _style: str = ""
    _text: list[str] = field(default_factory=list)
    _taking: bool = False
    _guide: bool = False
    _size: int = 0

    def start(self, name: str, attrs: Attributes) -> None:
        """Meet a start tag; the commonest are asked for first, for this runs several times a cell."""
        tag = name if ":" not in name else local(name)
        if tag == "v":
            self._taking = True
        elif tag == "c":
            reference = attrs.get("r")
            self._column = _column(reference) if reference else self._column + 1
            self._kind = attrs.get("t", "n")
            self._style = attrs.get("s", "0")
            self._text.clear()
        elif tag == "t":
            self._taking = not self._guide
        elif tag == "row":
            number = attrs.get("r", "")
            self._number = max(int(number) if number.isdecimal() else 0, self._number + 1)
            self._cells = {}
            self._column = self._size = 0
        elif tag == "rPh":
            self._guide = True

    def text(self, data: str) -> None:
        """Meet text."""
        if self._taking:
            self._size += len(data)
            if self._size <= self.longest:
                self._text.append(data)

    def end(self, name: str) -> None:
        """Meet an end tag."""
        tag = name if ":" not in name else local(name)
        self._taking = False
        if tag == "c":
            value = self._value("".join(self._text)) if self._text else ""
            if value:
                self._cells[self._column] = value
                self._size += len(value)
        elif tag == "row":
            cells = self._cells if self._size <= self.longest else {-1: ""}
            self.rows.append((self._number, cells))
        elif tag == "rPh":
            self._guide = False

    def _value(self, text: str) -> str:
        match self._kind:
            case "s":
                return self.strings[int(text)] if text.isdecimal() else ""
            case "n":
                return self._as_date(text) if self._style in self.dates else _plain_number(text)
            case "b":
                return "true" if text == "1" else "false"
            case _:
                return unescape(text)

    def _as_date(self, text: str) -> str:
        """Show a serial date as ISO 8601: a date, a time, or both."""
        try:
            serial = float(text)
        except ValueError:
            return text
        if not 0 <= serial < _LAST_SERIAL:
            return text
        moment = self.epoch + timedelta(seconds=round(serial * _SECONDS_A_DAY))
        if serial < 1:
            return moment.time().isoformat()
        is_day = moment.time() == datetime.min.time()
        return moment.date().isoformat() if is_day else moment.isoformat()


def _column(reference: str) -> int:
    """Return the column of a reference such as `AB12`, counted from 1."""
    return _column_of(reference.rstrip("0123456789"))


@lru_cache(maxsize=1024)
def _column_of(letters: str) -> int:
    column = 0
    for letter in letters[:4]:
        column = column * 26 + _LETTERS.get(letter, 0)
    return min(column, _WIDEST + 1)


def _plain_number(text: str) -> str:
    """Write a number without exponent or trailing zeros if nothing is lost: a phone number stays one."""
    if text.isdecimal():
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    if number.is_integer() and abs(number) < _EXACT_INTEGER:
        return str(int(number))
    return text


class XlsxReader(Reader):
    """Streams one sheet of a workbook; formulas come as the values last computed. See `Reader`."""

    kind = FileKind.XLSX
    encoding = "utf-8"

    def __init__(
        self, path: Path, *, limits: ReaderLimits, has_header: bool | None = None, sheet: str | None = None
    ) -> None:
        """Check the archive, choose the sheet and read its header.

        Raises:
            UnreadableFile: See the classes in `errors`.
        """
        self._path = path
        self._limits = limits
        with open_archive(path, limits) as archive:
            self._book = find_sheet(archive, sheet)
            self._unpacked = archive.getinfo(self._book.sheet_part).file_size
            number, cells = self._first_row(archive)
        self.sheet = self._book.sheet_name
        width = max(cells)
        listed = [cells.get(column, "") for column in range(1, min(width, limits.max_columns + 1) + 1)]
        self.columns = name_columns(listed, limits, has_header=has_header)
        before = number - 1 if has_header is False else number
        self._start = Position(before, before)

    def estimate_rows(self) -> int:
        """Return a guess by the unpacked size: some 60 bytes of XML a cell."""
        return max(self._unpacked // (_BYTES_A_ROW * max(len(self.columns), 1)), 1)

    def batches(self, *, from_position: Position | None = None, size: int = BATCH) -> Iterator[Batch]:
        """See `Reader.batches`; resuming parses the rows before again, which costs a third of reading them."""
        return gather(self._items(from_position or self._start), size)

    def _first_row(self, archive: zipfile.ZipFile) -> tuple[int, dict[int, str]]:
        strings = read_strings(archive, self._book.strings_part, self._limits)
        for number, cells in self._rows(archive, strings):
            if cells and any(text.strip() for text in cells.values()):
                return number, cells
        raise EmptyFile("The sheet holds no rows.", place=self._book.sheet_name)

    def _rows(self, archive: zipfile.ZipFile, strings: SharedStrings) -> Iterator[tuple[int, dict[int, str]]]:
        book: Workbook = self._book
        epoch = datetime(1904, 1, 1) if book.since_1904 else datetime(1899, 12, 30)  # noqa: DTZ001 - a wall clock
        dates = date_styles(archive, book.styles_part)
        sheet = _Sheet(strings, dates, epoch, self._limits.max_row_bytes)
        parser = new_parser(sheet.start, sheet.end, sheet.text)
        with archive.open(book.sheet_part) as stream:
            for _ in parse_steps(stream, parser, book.sheet_part):
                yield from sheet.rows
                sheet.rows.clear()

    def _items(self, start: Position) -> Iterator[tuple[SourceRow | RowFault, Position]]:
        with open_archive(self._path, self._limits) as archive:
            strings = read_strings(archive, self._book.strings_part, self._limits)
            for number, cells in self._rows(archive, strings):
                if number > start.number and cells:
                    yield self._judge(number, cells), Position(number, number)

    def _judge(self, number: int, cells: dict[int, str]) -> SourceRow | RowFault:
        width = len(self.columns)
        if -1 in cells:
            return RowFault(number, number, "row_too_long", "The row is longer than allowed.", "")
        values = clean_cells([cells.get(column, "") for column in range(1, width + 1)])
        raw = "\t".join(cells.values())[:RAW_SHOWN]
        if max(cells) > width and any(text.strip() for column, text in cells.items() if column > width):
            text = f"The row reaches column {max(cells)}, the header has {width}."
            return RowFault(number, number, "too_many_cells", text, raw)
        if any(NUL in value for value in values):
            return RowFault(number, number, "nul", "The row holds a NUL character.", raw.replace(NUL, "\ufffd"))
        return SourceRow(number, number, values)
