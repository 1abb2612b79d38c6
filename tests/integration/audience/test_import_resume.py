"""An import is killed, shared or cancelled: it ends where an undisturbed run ends (any cut: `tests/properties`)."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from carillon.audience.contacts import api
from carillon.audience.contacts.contracts import ImportStatus
from carillon.audience.contacts.importing import batches, run, store
from carillon.storage.resources import Resources
from tests.fixtures.database import Urls, make_tenant

from .import_files import faults, people, start
from .import_files import run as run_to_end

RULE = {"consent": {"proof": "form", "platforms": ["*"]}, "tags": ["file"], "duplicates": "merge"}
COUNTS = ("rows", "created", "updated", "skipped", "duplicates", "rejected", "warnings", "opted_out", "unsendable")


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours may catch it."""


def messy(rows: int) -> bytes:
    lines = ["phone,name,email,consent,consent_at"]
    for n in range(rows):
        phone = f"+4915123456{n % (rows - 5):03}" if n % 7 else "12"
        answer = ("yes", "no", "", "perhaps")[n % 4]
        lines.append(f"{phone},Person {n},p{n % 11}@x.org,{answer},2026-01-0{1 + n % 9}")
    return "\n".join(lines).encode()


async def end_state(owner: Any, resources: Resources, tenant: UUID, import_id: UUID) -> Any:
    async with resources.database.transaction(tenant) as tx:
        done = await api.get_import(tx, import_id)
    counts = {name: getattr(done, name) for name in COUNTS}
    return done.status, counts, await people(owner, tenant), await faults(owner, import_id)


async def run_until_killed(
    resources: Resources, tenant: UUID, import_id: UUID, countdown: int, *, after_commit: bool
) -> None:
    """Run, and die in the batch after `countdown` others: inside its transaction, or right behind its commit."""
    left = countdown
    commit, advance = run._commit, store.advance

    async def dying_commit(*args: Any) -> Any:
        nonlocal left
        result = await commit(*args)
        if after_commit and left <= 0:
            raise Killed
        left -= 1
        return result

    async def dying_advance(*args: Any, **options: Any) -> bool:
        moved = await advance(*args, **options)
        if not after_commit and left <= 0:
            raise Killed
        return moved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_commit", dying_commit)
        patch.setattr(store, "advance", dying_advance)
        try:
            await api.run_import(resources, tenant, {"import_id": str(import_id)})
        except Killed:
            return


CHILD = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from carillon.audience.contacts import api
from carillon.audience.contacts.importing import batches, store
from carillon.kernel.clock import SystemClock
from carillon.ops.settings import Settings
from carillon.storage.blobs import Blobs
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from carillon.storage.vault import Vault

url, folder, tenant, import_id, stop_at = sys.argv[1:]
batches.SIZE = 5
advance = store.advance
seen = 0

async def advancing(*args, **options):
    global seen
    seen += 1
    if seen == int(stop_at):
        print("here", flush=True)
        sys.stdin.read()
    return await advance(*args, **options)

store.advance = advancing
data = Path(folder)
resources = Resources(
    Settings(data=data), Database(url, pool_size=2), Vault(b"k" * 32), Blobs(data / "blobs"), SystemClock()
)
asyncio.run(api.run_import(resources, UUID(tenant), {"import_id": import_id}))
"""


async def test_a_killed_process_is_taken_up_by_the_next(
    worker_resources: Resources, urls: Urls, owner: Any, tenant: UUID, tmp_path: Path
):
    content = messy(60)
    found = await start(worker_resources, tenant, content, **RULE)
    for stop_at in ("3", "2", "4"):
        arguments = [urls.worker, str(tmp_path), str(tenant), str(found.id), stop_at]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"here\n"
        os.kill(process.pid, signal.SIGKILL)
        await process.communicate()
    # Each removed the copy of the file that the one before it left.
    assert len(list(tmp_path.rglob("scratch/*/file"))) == 1  # noqa: ASYNC240 - three empty folders
    async with worker_resources.database.transaction(tenant) as tx:
        halfway = await api.get_import(tx, found.id)
    assert halfway.status is ImportStatus.RUNNING
    assert halfway.rows == 5 * (2 + 1 + 3)
    await run_to_end(worker_resources, tenant, found.id)
    calm = await make_tenant(owner)
    wanted = await start(worker_resources, calm, content, **RULE)
    await run_to_end(worker_resources, calm, wanted.id)
    assert await end_state(owner, worker_resources, tenant, found.id) == await end_state(
        owner, worker_resources, calm, wanted.id
    )


async def test_two_workers_on_one_import_write_every_row_once(
    worker_resources: Resources, owner: Any, tenant: UUID, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batches, "SIZE", 3)
    found = await start(worker_resources, tenant, messy(24), **RULE)
    payload = {"import_id": str(found.id)}
    await asyncio.gather(*(api.run_import(worker_resources, tenant, payload) for _ in range(2)))
    await run_to_end(worker_resources, tenant, found.id)
    calm = await make_tenant(owner)
    wanted = await start(worker_resources, calm, messy(24), **RULE)
    await run_to_end(worker_resources, calm, wanted.id)
    assert await end_state(owner, worker_resources, tenant, found.id) == await end_state(
        owner, worker_resources, calm, wanted.id
    )


async def test_two_files_with_the_same_people_at_once(
    worker_resources: Resources, owner: Any, tenant: UUID, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batches, "SIZE", 4)
    lines = [f"+4915123456{n:03}" for n in range(40)]
    one = await start(worker_resources, tenant, "\n".join(["phone", *lines]).encode())
    two = await start(worker_resources, tenant, "\n".join(["phone", *reversed(lines)]).encode())
    done = await asyncio.gather(*(run_to_end(worker_resources, tenant, found.id) for found in (one, two)))
    assert len(await people(owner, tenant)) == 40
    assert sum(each.created for each in done) == 40
    assert sum(each.skipped for each in done) == 40


async def test_cancelling_stops_behind_a_batch_and_keeps_it(
    worker_resources: Resources, owner: Any, tenant: UUID, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batches, "SIZE", 3)
    found = await start(worker_resources, tenant, messy(24), **RULE)
    await run_until_killed(worker_resources, tenant, found.id, 1, after_commit=True)
    async with worker_resources.database.transaction(tenant) as tx:
        asked = await api.cancel(tx, found.id, worker_resources)
        assert asked.cancel_requested
    done = await run_to_end(worker_resources, tenant, found.id)
    assert done.status is ImportStatus.CANCELLED
    assert done.rows == 6
    key = await owner.fetchval("SELECT blob_key FROM audience.contact_import WHERE id = $1", found.id)
    assert not await worker_resources.blobs.exists(key)
    again = await run_to_end(worker_resources, tenant, found.id)
    assert again == done
