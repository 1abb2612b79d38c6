"""Reads CSV, TSV and their kin.

Two ways through the same bytes. The fast one leaves everything to C: whole blocks are decoded and checked,
`csv.reader` cuts the rows, a batch is a list of lists. Whatever is unusual in a batch (a byte that does not
decode, a control character, a cell with a line break, a short row, an open quote) sends that one batch through
the careful way of `records`, which knows line by line where it is. Both give the same rows for the same bytes.
"""

import csv
from collections.abc import Iterator
from io import StringIO
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import BinaryIO

from .contract import BATCH, Batch, BatchBuilder, Dialect, FileKind, Position, Reader, ReaderLimits, RowFault, SourceRow
from .dialect import guess_dialect, reader_options
from .encoding import TextProfile
from .errors import BrokenFile, EmptyFile, NoHeader
from .header import name_columns
from .lines import LineRule, LineTooLong, blocks
from .records import Record, records
from .text import is_clean_block

_SAMPLE = 64 * 1024
_END = "\ue000end\ue001\n"
_MAX_RECOVERIES = 1_000


class _UnusualError(Exception):
    """The batch needs the careful way."""


class DelimitedReader(Reader):
    """Streams a delimited text file; see `Reader`."""

    kind = FileKind.DELIMITED

    def __init__(
        self,
        path: Path,
        profile: TextProfile,
        *,
        limits: ReaderLimits,
        has_header: bool | None = None,
        dialect: Dialect | None = None,
    ) -> None:
        """Find dialect and columns.

        Raises:
            UnreadableFile: No header, too many columns, or nothing but blank lines.
        """
        self._path = path
        self._profile = profile
        self._limits = limits
        self.encoding = profile.encoding
        self._rule = LineRule.of(profile.encoding, old_mac=profile.old_mac)
        with path.open("rb") as file:
            body, sample = self._sample(file)
            self.dialect = dialect or guess_dialect(sample)
            self._options = reader_options(self.dialect)
            first = self._first_record(file, body)
        if first.cells is None:
            raise NoHeader(place=f"row {first.number}", reason=first.code)
        self.columns = name_columns(first.cells, limits, has_header=has_header)
        is_data = has_header is False
        self._start = Position(first.offset, first.number - 1) if is_data else Position(first.end, first.number)

    def estimate_rows(self) -> int:
        """Return the number of line ends: exact unless cells hold line breaks."""
        return max(self._profile.lines - self._start.number, 0)

    def batches(self, *, from_position: Position | None = None, size: int = BATCH) -> Iterator[Batch]:
        """See `Reader.batches`."""
        position = from_position or self._start
        recoveries = 0
        with self._path.open("rb") as file:
            while True:
                try:
                    for batch in self._fast(file, position, size):
                        yield batch
                        position = batch.next
                except (_UnusualError, csv.Error, LineTooLong):
                    batch, recovered = self._careful(file, position, size)
                    recoveries += recovered
                    if recoveries > _MAX_RECOVERIES:
                        raise BrokenFile("Too many quotes are never closed.", place=_place(batch)) from None
                    if batch.rows or batch.faults:
                        yield batch
                    position = batch.next
                else:
                    return

    def _sample(self, file: BinaryIO) -> tuple[int, str]:
        """Return where the rows begin, behind mark and Excel's `sep=` line, and the first lines as text."""
        start = self._profile.start
        try:
            head = next(blocks(file, self._rule, start, self._limits.max_row_bytes), b"")
        except LineTooLong as signal:
            raise NoHeader("The first line is too long.", place=f"byte {signal.start}") from None
        lines = self._rule.split(head[: _SAMPLE + -_SAMPLE % 4])
        if lines and lines[0].decode(self.encoding, errors="replace").lower().startswith("sep="):
            start += len(lines.pop(0))
        return start, b"".join(lines).decode(self.encoding, errors="replace")

    def _first_record(self, file: BinaryIO, start: int) -> Record:
        for record in self._records(file, Position(start, 0)):
            if record.cells is None or any(cell.strip() for cell in record.cells):
                return record
        raise EmptyFile("The file holds only blank lines.")

    def _records(self, file: BinaryIO, position: Position) -> Iterator[Record]:
        pieces = blocks(file, self._rule, position.offset, self._limits.max_row_bytes)
        lines = chain.from_iterable(map(self._rule.split, pieces))
        return records(lines, position, self.encoding, self._options, self._limits.max_row_bytes)

    def _fast(self, file: BinaryIO, position: Position, size: int) -> Iterator[Batch]:
        lengths: list[int] = []
        reader = csv.reader(chain.from_iterable(self._clean_blocks(file, position.offset, lengths)), **self._options)
        width, blank = {len(self.columns)}, [""] * len(self.columns)
        lines = 0
        while rows := list(islice(reader, size)):
            if rows[-1] == [_END[:-1]]:
                rows.pop()
                lines += 1
            count = len(rows)
            lines += count
            if reader.line_num != lines or (rows and set(map(len, rows)) != width) or blank in rows:
                raise _UnusualError
            offsets = list(accumulate(lengths[:count], initial=position.offset))
            del lengths[:count]
            numbers = range(position.number + 1, position.number + 1 + count)
            position = Position(offsets.pop(), position.number + count)
            if rows:
                yield Batch(rows, numbers, offsets, [], position)

    def _clean_blocks(self, file: BinaryIO, offset: int, lengths: list[int]) -> Iterator[StringIO]:
        """Yield blocks as text, leaving the length of each line; a last line tells an open quote at the end."""
        for block in blocks(file, self._rule, offset, self._limits.max_row_bytes):
            try:
                text = block.decode(self.encoding)
            except UnicodeDecodeError:
                raise _UnusualError from None
            if not is_clean_block(block, text):
                raise _UnusualError
            lengths.extend(map(len, self._rule.split(block)))
            yield StringIO(text, newline="\n")
        yield StringIO(_END, newline="\n")

    def _careful(self, file: BinaryIO, position: Position, size: int) -> tuple[Batch, bool]:
        """Return a batch made record by record, and whether reading must go on inside a broken record."""
        builder = BatchBuilder()
        for record in islice(self._records(file, position), size):
            if record.cells is None or any(record.cells):
                builder.add(self._judge(record))
            position = Position(record.end, record.number)
            if record.recovers:
                return builder.build(position), True
        return builder.build(position), False

    def _judge(self, record: Record) -> SourceRow | RowFault:
        """Fit a record to the columns: missing cells are empty, surplus cells must be."""
        if record.cells is None:
            return RowFault(record.number, record.bad_byte, record.code, record.text, record.shown(self.encoding))
        width = len(self.columns)
        if any(cell.strip() for cell in record.cells[width:]):
            text = f"The row has {len(record.cells)} cells, the header {width}."
            return RowFault(record.number, record.offset, "too_many_cells", text, record.shown(self.encoding))
        values = record.cells[:width]
        values += [""] * (width - len(values))
        return SourceRow(record.number, record.offset, values)


def _place(batch: Batch) -> str:
    return f"byte {batch.next.offset}"
