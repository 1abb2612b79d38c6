"""What every reader of contact files gives: batches of rows and faults, with places to resume at."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import merge

BATCH = 5_000
RAW_SHOWN = 500


class FileKind(StrEnum):
    """What a contact file is, decided by its content."""

    DELIMITED = "delimited"
    XLSX = "xlsx"
    VCARD = "vcard"
    TELEGRAM = "telegram"


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """How much a file may ask of us. Sizes are in bytes.

    `max_ratio` is uncompressed to compressed size of one zip entry; ordinary sheets stay below 30.
    """

    max_bytes: int = 2 * 1024**3
    max_row_bytes: int = 1024**2
    max_columns: int = 500
    max_uncompressed: int = 2 * 1024**3
    max_ratio: int = 200
    max_entries: int = 5_000
    max_shared_text: int = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited file is written; `quote` and `escape` are empty when there is none."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    skip_spaces: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two rows where reading can go on; store its three fields to resume after a restart.

    Attributes:
        offset: Delimited, vCard and Telegram files: the byte at which the next row begins.
            XLSX: the number of the last sheet row read.
        number: The number of the last row before this place.
        section: Which list of a Telegram export this is in; empty elsewhere.
    """

    offset: int
    number: int
    section: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row; `values` aligns with the reader's `columns`.

    `number` is what a spreadsheet shows beside the row: the header is counted, blank rows too.
    In vCard and Telegram files, which have no header, the first contact is 1.
    """

    number: int
    offset: int
    values: list[str]


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that could not be read: where, why (`code` for programs, `text` for people), and its beginning.

    `offset` is the offending byte where one is to blame, otherwise the first byte of the row.
    """

    number: int
    offset: int
    code: str
    text: str
    raw: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some consecutive rows and the faults among them; `numbers` and `offsets` align with `rows`."""

    rows: list[list[str]]
    numbers: Sequence[int]
    offsets: Sequence[int]
    faults: list[RowFault]
    next: Position


class Reader(ABC):
    """Streams one contact file in bounded memory.

    It must not judge values (a phone number, a date): it only finds rows and cells. Values come in Unicode
    NFC, without control characters and without bidirectional overrides; a row with a NUL is a fault.
    Reading opens the file anew, so several iterations may run side by side.
    """

    kind: FileKind
    columns: list[str]
    encoding: str
    dialect: Dialect | None = None

    @abstractmethod
    def batches(self, *, from_position: Position | None = None, size: int = BATCH) -> Iterator[Batch]:
        """Yield batches of at most `size` rows and faults together, from the start or a stored position.

        Raises:
            UnreadableFile: The file breaks off or is damaged beyond the row; what came before stands.
        """

    @abstractmethod
    def estimate_rows(self) -> int:
        """Return about how many rows there are: for a progress bar, not for a decision."""

    def rows(self, *, from_position: Position | None = None, start_after: int = 0) -> Iterator[SourceRow | RowFault]:
        """Yield rows and faults one by one in file order, only those numbered above `start_after`."""
        for batch in self.batches(from_position=from_position):
            if batch.next.number > start_after:
                rows = map(SourceRow, batch.numbers, batch.offsets, batch.rows)
                both: Iterator[SourceRow | RowFault] = merge(rows, batch.faults, key=_number)
                yield from (item for item in both if item.number > start_after)


def _number(item: SourceRow | RowFault) -> int:
    return item.number


@dataclass(slots=True)
class BatchBuilder:
    """Collects rows and faults one at a time, where a format gives no faster way."""

    rows: list[list[str]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)

    def add(self, item: SourceRow | RowFault) -> None:
        """Take one row or fault."""
        if isinstance(item, RowFault):
            self.faults.append(item)
            return
        self.rows.append(item.values)
        self.numbers.append(item.number)
        self.offsets.append(item.offset)

    def __len__(self) -> int:
        return len(self.rows) + len(self.faults)

    def build(self, position: Position) -> Batch:
        """Return the batch that ends at `position`."""
        return Batch(self.rows, self.numbers, self.offsets, self.faults, position)


def gather(items: Iterable[tuple[SourceRow | RowFault, Position]], size: int) -> Iterator[Batch]:
    """Group single rows, each with the position after it, into batches."""
    builder = BatchBuilder()
    for item, position in items:
        builder.add(item)
        last = position
        if len(builder) >= size:
            yield builder.build(last)
            builder = BatchBuilder()
    if len(builder):
        yield builder.build(last)
