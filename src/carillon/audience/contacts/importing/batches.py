"""Reading ahead: the next batch is parsed in a thread while the database works on the one before."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field

from carillon.audience.contacts.readers import Batch, Position, Reader

from .person import REJECTED, WARNING, Complaint, Fault, Person
from .rows import RowReader, raw_values

# Large enough that round trips do not count, small enough for two of them in memory.
SIZE = 10_000


@dataclass(slots=True)
class Prepared:
    """A batch of rows as persons.

    Attributes:
        rows: How many rows it had, faults included.
        end: Where reading goes on after it.
    """

    batch: Batch
    rows: int
    persons: list[Person]
    end: Position
    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def prepare(batch: Batch, reader: RowReader) -> Prepared:
    """Read every row of a batch."""
    persons: list[Person] = []
    prepared = Prepared(batch, len(batch.rows) + len(batch.faults), persons, batch.next)
    for index, values in enumerate(batch.rows):
        number = batch.numbers[index]
        person, complaints = reader.read(index, number, values)
        if person is not None:
            persons.append(person)
        if complaints:
            kind = WARNING if person is not None else REJECTED
            _complain(prepared, reader, index, kind, complaints)
    for fault in batch.faults:
        raw = {"row": fault.raw}
        prepared.faults.append(Fault(REJECTED, fault.number, fault.offset, fault.code, None, fault.text, raw))
        prepared.counts[REJECTED] += 1
    return prepared


def _complain(prepared: Prepared, reader: RowReader, index: int, kind: str, complaints: list[Complaint]) -> None:
    # A rejected row is one fault, whatever number of its cells are wrong; of warnings each counts.
    told = complaints[:1] if kind == REJECTED else complaints
    prepared.counts[kind] += len(told)
    prepared.faults += [fault_of(prepared.batch, reader.columns, index, kind, complaint) for complaint in told]


def fault_of(batch: Batch, columns: Sequence[str], index: int, kind: str, why: Complaint) -> Fault:
    """A complaint about one row of a batch as a fault."""
    return Fault(
        kind,
        batch.numbers[index],
        batch.offsets[index],
        why.code,
        why.target or None,
        why.text,
        raw_values(columns, batch.rows[index]),
    )


async def read_ahead(reader: Reader, rows: RowReader, start: Position | None) -> AsyncGenerator[Prepared]:
    """Prepared batches from a position on, each made while its predecessor is being used.

    Raises:
        UnreadableFile: The file breaks off; what came before stands.
    """
    source = reader.batches(from_position=start, size=SIZE)
    task = asyncio.create_task(asyncio.to_thread(_next, source, rows))
    try:
        while (prepared := await task) is not None:
            task = asyncio.create_task(asyncio.to_thread(_next, source, rows))
            yield prepared
    finally:
        # A thread cannot be interrupted, and the file must outlive it.
        await asyncio.gather(task, return_exceptions=True)


def _next(source: Iterator[Batch], rows: RowReader) -> Prepared | None:
    batch = next(source, None)
    return None if batch is None else prepare(batch, rows)
