"""How fast and in how much memory a contact file is imported: from the stored upload to the last committed row.

Floor: COPY of the same file into a table of bare text columns, in one transaction of the same session.
"""

import csv
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.contracts import ImportStatus
from carillon.runtime.importing import upload_file

from .measuring import Bench, Stage, forget_peak, option, peak_rss_mb, result, stage, timed

COLUMNS = ("phone", "name", "language", "time_zone", "tags", "consent", "consent_at", "consent_proof")
_EVERY_BAD = 101
_EVERY_REPEATED = 103


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    rows: int = option(50_000, "rows of the CSV file; about one in a hundred is bad, one repeated")


async def run(options: Options) -> dict[str, Any]:
    """Measure once: a second import would only meet people it knows."""
    async with stage() as on:
        path = on.folder / "people.csv"
        write_people(path, options.rows)
        await on.owner.execute("CHECKPOINT")
        forget_peak()
        before = peak_rss_mb()
        seconds, outcome = await _import(on, path, options)
        rss = peak_rss_mb()
        columns = ", ".join(f"{name} text" for name in COLUMNS)
        await on.owner.execute(f"CREATE TABLE bench.people ({columns})")
        await on.owner.execute("CHECKPOINT")
        copy = on.owner.copy_to_table("people", schema_name="bench", source=path, format="csv", header=True)
        bare = await timed(copy)
        size = round(path.stat().st_size / 1e6, 1)
        return result("imports", options.rows, [seconds], [bare], rss, rss_before_mb=before, file_mb=size, **outcome)


def write_people(path: Path, rows: int) -> None:
    """A clean UTF-8 file but for some bad and some repeated numbers."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            digits = number - 1 if number % _EVERY_REPEATED == _EVERY_REPEATED - 1 else number
            phone = "12" if number % _EVERY_BAD == _EVERY_BAD - 1 else f"+49151{digits:08d}"
            given = (start + timedelta(minutes=number % 400_000)).strftime("%Y-%m-%d %H:%M")
            tags = "customer,newsletter" if number % 3 else "customer"
            writer.writerow((phone, f"Person {number}", "de", "Europe/Berlin", tags, "yes", given, "form /join v3"))


async def _import(on: Stage, path: Path, options: Options) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    # What is evidence is for a person to say: no title is taken for it.
    proof = {"consent_proof": "consent_proof"}
    rule = contacts.ConsentRule()
    started = await upload_file(on.resources, on.tenant_id, path, consent=rule, extra_mapping=proof)
    uploaded = time.perf_counter() - began
    await contacts.run_import(on.resources, on.tenant_id, {"import_id": str(started.id)})
    seconds = time.perf_counter() - began
    async with on.resources.database.transaction(on.tenant_id) as tx:
        done = await contacts.get_import(tx, started.id)
    assert done.status is ImportStatus.DONE, done.error
    assert done.rows == options.rows, f"{done.rows} rows read of {options.rows}"
    assert done.unsendable == 0, f"{done.unsendable} people without their consent"
    counts = {name: getattr(done, name) for name in ("created", "duplicates", "rejected", "unsendable")}
    return seconds, {"upload_seconds": round(uploaded, 3), **counts}


BENCH = Bench(
    "imports",
    "Import a CSV file of people with consent; floor: COPY of the same file into a table of bare text columns.",
    Options,
    run,
    size="rows",
)
