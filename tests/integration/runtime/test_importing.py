"""A file taken in from the command line: started, or gone."""

from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from carillon.kernel.errors import CarillonError
from carillon.runtime.importing import upload_file
from carillon.storage.resources import Resources

GOOD = b"phone,name\n+491711234567,Anna\n"


def blobs(resources: Resources) -> list[Path]:
    return [path for path in (resources.settings.data / "blobs").rglob("*") if path.is_file()]


async def test_a_file_is_the_imports_once_it_started(worker_resources: Resources, tenant: UUID, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(GOOD)
    started = await upload_file(worker_resources, tenant, file, consent=None)
    assert started.status.value == "queued"
    assert len(blobs(worker_resources)) == 1


@pytest.mark.parametrize(
    ("content", "mapping", "most", "code"),
    [
        (b"", {}, 1_000, "empty_file"),
        (GOOD, {"nowhere": "phone"}, 1_000, "mapping_invalid"),
        (GOOD, {}, 10, "file_too_large"),
    ],
)
async def test_of_a_file_that_is_refused_nothing_stays(
    worker_resources: Resources,
    owner: "asyncpg.Connection[Any]",
    tenant: UUID,
    tmp_path: Path,
    content: bytes,
    mapping: dict[str, str],
    most: int,
    code: str,
) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(content)
    worker_resources.settings.max_upload_bytes = most
    with pytest.raises(CarillonError) as caught:
        await upload_file(worker_resources, tenant, file, consent=None, extra_mapping=mapping)
    assert caught.value.code == code
    assert blobs(worker_resources) == []
    assert await owner.fetchval("SELECT count(*) FROM gateway.upload WHERE tenant_id = $1", tenant) == 0
    assert await owner.fetchval("SELECT count(*) FROM audience.contact_import WHERE tenant_id = $1", tenant) == 0
