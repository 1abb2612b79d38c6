"""Import resume: cut off at any await, as often as you like, the job ends where an undisturbed run ends.

The same people with the same consents, the same faults of the same rows, the same counts; from every kind of file.
"""

import asyncio
import csv
import io
import json
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audience.contacts import api
from carillon.audience.contacts.importing import batches, run, store
from tests.integration.audience import import_files

from .running import hasty, planted, thorough
from .world import World

START = datetime(2026, 1, 1, tzinfo=UTC)
TITLES = ("phone", "name", "email", "consent", "consent_at")
Row = tuple[str, str, str, str, str]

phones = st.one_of(st.integers(0, 12).map(lambda n: f"+4915123456{n:03}"), st.sampled_from(["12", "", "+49 151 234"]))
rows = st.tuples(
    phones,
    st.sampled_from(["Ada", "Bo", "李雷", ""]),
    st.one_of(st.integers(0, 5).map(lambda n: f"p{n}@x.org"), st.sampled_from(["", "nobody"])),
    st.sampled_from(["yes", "no", "", "perhaps"]),
    st.sampled_from(["2026-01-02", "2026-02-03", "2999-01-01", "soon", ""]),
)
first = st.just(("+4915123456999", "First", "first@x.org", "yes", "2026-01-02"))
"""Without one good row there is nothing to tell a column by."""
files = st.tuples(first, st.lists(rows, min_size=4, max_size=20)).map(lambda parts: [parts[0], *parts[1]])
cuts = st.lists(st.integers(1, 120), min_size=1, max_size=4)
"""At which await each run ends."""


def as_csv(table: Sequence[Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([TITLES, *table])
    return text.getvalue().encode()


def as_json(table: Sequence[Row]) -> bytes:
    """Telegram Desktop's export."""
    people = [{"first_name": name, "last_name": "", "phone_number": phone} for phone, name, *_ in table]
    return json.dumps({"contacts": {"about": "", "list": people}}, ensure_ascii=False).encode()


def as_vcards(table: Sequence[Row]) -> bytes:
    cards = [
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nTEL:{phone}\r\nEMAIL:{email}\r\nEND:VCARD\r\n"
        for phone, name, email, *_ in table
    ]
    return "".join(cards).encode()


def as_workbook(table: Sequence[Row]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    sheet = book.active
    for row in [TITLES, *table]:
        sheet.append(row)
    book.save(content)
    return content.getvalue()


KINDS: dict[str, Callable[[Sequence[Row]], bytes]] = {
    "csv": as_csv,
    "json": as_json,
    "vcf": as_vcards,
    "xlsx": as_workbook,
}


class CutOff:
    """Awaits something, and is cancelled at one of the places where it would wait."""

    def __init__(self, work: Coroutine[Any, Any, None], at: int) -> None:
        self._work = work
        self._left = at

    def __await__(self) -> Generator[Any, Any, None]:
        inner = self._work.__await__()
        step: Callable[[], Any] = lambda: inner.send(None)  # noqa: E731 - it changes
        while True:
            try:
                waiting = step()
            except StopIteration:
                return
            self._left -= 1
            if self._left == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waiting
                step = lambda: inner.send(None)  # noqa: E731 - it changes
            except BaseException as error:  # noqa: BLE001 - the work's to handle
                step = lambda error=error: inner.throw(error)  # type: ignore[misc] # noqa: E731


async def run_until(world: World, tenant: UUID, import_id: UUID, at: int) -> None:
    async def cut() -> None:
        await CutOff(api.run_import(world.resources, tenant, {"import_id": str(import_id)}), at)

    with suppress(asyncio.CancelledError):
        await asyncio.create_task(cut())


async def end_of(world: World, tenant: UUID, import_id: UUID) -> Any:
    async with world.transaction(tenant) as tx:
        done = await api.get_import(tx, import_id)
    counts = {name: getattr(done, name) for name in store.COUNTS}
    people = await import_files.people(world.owner, tenant)
    return done.status, done.error, counts, people, await import_files.faults(world.owner, import_id)


async def check(world: World, kind: str, table: list[Row], ends: list[int], size: int, duplicates: str) -> None:
    content = KINDS[kind](table)
    rule = {"proof": "form", "platforms": ["*"], "at": START, "everyone": kind in ("vcf", "json")}
    options: dict[str, Any] = {"consent": rule, "tags": ["file"], "duplicates": duplicates}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "SIZE", size)
        calm, rough = await world.new_tenant(alone=False), await world.new_tenant(alone=False)
        wanted = await import_files.start(world.resources, calm, content, **options)
        await import_files.run(world.resources, calm, wanted.id)
        found = await import_files.start(world.resources, rough, content, **options)
        for at in ends:
            await run_until(world, rough, found.id, at)
        await import_files.run(world.resources, rough, found.id)
    assert await end_of(world, rough, found.id) == await end_of(world, calm, wanted.id)
    key = await world.owner.fetchval("SELECT blob_key FROM audience.contact_import WHERE id = $1", found.id)
    assert not await world.resources.blobs.exists(key), "the file is full of people and nobody needs it any more"


def imports(world: World) -> Callable[..., None]:
    def imported(kind: str, table: list[Row], ends: list[int], size: int, duplicates: str) -> None:
        world.run(check(world, kind, table, ends, size, duplicates))

    policies = st.sampled_from(["merge", "skip", "update"])
    return given(st.sampled_from(sorted(KINDS)), files, cuts, st.sampled_from([2, 3, 7]), policies)(imported)


def test_any_cuts_lead_to_the_same_end(world: World) -> None:
    thorough(25)(imports(world))()


def test_the_check_notices_a_file_that_stays(world: World) -> None:
    with planted(run.run, "await _remove_file(resources, tenant_id, import_id)", "pass"), pytest.raises(AssertionError):
        hasty(60)(imports(world))()


def test_the_check_notices_a_batch_that_is_written_without_its_position(world: World) -> None:
    with (
        planted(store.advance, '"end": dump_position(end)', '"end": dump_position(start)'),
        planted(run._run_file, "this.position = prepared.end", "pass"),
        pytest.raises(AssertionError),
    ):
        hasty(30)(imports(world))()
