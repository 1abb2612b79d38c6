"""A contact file into a tenant from the command line: the same steps as over HTTP, run to the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.contracts import Import, ImportStatus
from carillon.audience.contacts.manifest import manifest
from carillon.gateway import uploads
from carillon.kernel.subject import system_subject
from carillon.storage.jobs import JobRunner
from carillon.storage.resources import Resources

ENDED = {ImportStatus.DONE, ImportStatus.FAILED, ImportStatus.CANCELLED, ImportStatus.READY}
"""Neither running nor about to: `ready` after a dry run."""
_CHUNK = 1 << 20


async def upload_file(
    resources: Resources,
    tenant_id: UUID,
    path: Path,
    *,
    consent: contacts.ConsentRule | None,
    region: str | None = None,
    time_zone: str | None = None,
    duplicates: str = "skip",
    extra_mapping: dict[str, str] | None = None,
    dry: bool = False,
) -> Import:
    """Take the file in and start its import with the mapping that its columns suggest, and what is said of some.

    Of a file that is refused nothing stays.

    Args:
        resources: A process's own.
        tenant_id: Whose people they are.
        path: The file.
        consent: What its people agreed to.
        region: Country of numbers without a country code.
        time_zone: Of people without one.
        duplicates: `skip`, `update` or `merge`.
        extra_mapping: Column → target, in place of what is suggested; an empty target leaves the column out.
        dry: Only try it; nothing is written but its report.

    Raises:
        UnreadableFile, MappingInvalid: The file or the mapping.
    """
    _check_size(path, resources.settings.max_upload_bytes)
    upload = uploads.new_upload(tenant_id, "application/octet-stream")
    async with (
        uploads.stored(resources, tenant_id, upload, _chunks(path)),
        resources.database.transaction(tenant_id) as tx,
    ):
        found = await contacts.upload(tx, resources, system_subject(tenant_id), key=upload.key, file_name=path.name)
        options = contacts.Options(
            mapping=_mapping(found, extra_mapping or {}),
            region=region,
            time_zone=time_zone,
            duplicates=duplicates,
            consent=consent,
        )
        await contacts.configure(tx, found.id, options)
        await uploads.take_over(tx, upload.id)
        return await (contacts.check if dry else contacts.start)(tx, found.id)


def _check_size(path: Path, most: int) -> None:
    size = path.stat().st_size
    if size > most:
        raise contacts.FileTooLarge(file=path.name, bytes=size, allowed=most)


def _mapping(found: Import, said: dict[str, str]) -> dict[str, str]:
    """A target goes to the column that a person names, not also to the one it was suggested for."""
    suggested = {one: to for one, to in found.suggestion["mapping"].items() if to not in said.values()}
    return {one: to for one, to in {**suggested, **said}.items() if to}


async def follow(
    resources: Resources, tenant_id: UUID, import_id: UUID, seen: Callable[[Import], None] | None = None
) -> Import:
    """Wait until the import has ended; `seen` is told of its progress."""
    while True:
        async with resources.database.transaction(tenant_id) as tx:
            found = await contacts.get_import(tx, import_id)
        if seen is not None:
            seen(found)
        if found.status in ENDED:
            return found
        await asyncio.sleep(0.1)


async def run_here(
    resources: Resources, tenant_id: UUID, import_id: UUID, seen: Callable[[Import], None] | None = None
) -> Import:
    """Run the import in this process (or help a jobs process that has taken it) until it has ended."""
    stop = asyncio.Event()
    runner = JobRunner(resources, manifest.jobs, (), resources.database.url)
    running = asyncio.create_task(runner.run(stop))
    try:
        return await follow(resources, tenant_id, import_id, seen)
    finally:
        stop.set()
        await running


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
