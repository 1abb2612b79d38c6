"""Files in a local folder and in memory."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from carillon.storage.blobs import BlobKeyInvalid, BlobMissing, Blobs, BlobsUnavailable, blob_key

TENANT = UUID(int=7)
KEY = blob_key(TENANT, "imports", "contacts.csv")


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs" if request.param == "folder" else "memory://")


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_file_comes_back(blobs: Blobs) -> None:
    await blobs.put(KEY, b"a,b\n", "text/csv")
    assert await blobs.get(KEY) == b"a,b\n"
    assert await blobs.size(KEY) == 4
    assert await blobs.exists(KEY)


async def test_a_stream_goes_in_and_comes_out_in_pieces(blobs: Blobs) -> None:
    parts = [bytes([n]) * 100_000 for n in range(80)]
    await blobs.put(KEY, pieces(*parts), "application/octet-stream")
    out = [piece async for piece in blobs.stream(KEY)]
    assert b"".join(out) == b"".join(parts)
    assert await blobs.size(KEY) == 8_000_000


async def test_a_large_file_is_not_read_at_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await blobs.put(KEY, bytes(4_000_000), "application/octet-stream")
    assert max([len(piece) async for piece in blobs.stream(KEY)]) < 2_000_000


@pytest.mark.parametrize("content", [b"", pieces()])
async def test_an_empty_file_is_a_file(tmp_path: Path, content: bytes | AsyncIterator[bytes]) -> None:
    blobs = Blobs(tmp_path)
    await blobs.put(KEY, content, "text/plain")
    assert await blobs.get(KEY) == b""
    assert [piece async for piece in blobs.stream(KEY)] == []


async def test_putting_again_replaces(blobs: Blobs) -> None:
    await blobs.put(KEY, b"first", "text/plain")
    await blobs.put(KEY, b"2nd", "text/plain")
    assert await blobs.get(KEY) == b"2nd"


async def test_a_broken_stream_stores_nothing_and_keeps_what_was_there(blobs: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.put(KEY, broken(), "text/plain")
    assert not await blobs.exists(KEY)
    await blobs.put(KEY, b"whole", "text/plain")
    with pytest.raises(ConnectionResetError):
        await blobs.put(KEY, broken(), "text/plain")
    assert await blobs.get(KEY) == b"whole"


async def test_deleting_is_repeatable(blobs: Blobs) -> None:
    await blobs.put(KEY, b"x", "text/plain")
    await blobs.delete(KEY)
    await blobs.delete(KEY)
    assert not await blobs.exists(KEY)


async def test_what_a_process_left_that_died_while_storing_is_deleted_too(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    part = tmp_path / f"{KEY}#1"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    other = part.with_name("contacts.csv.bak")
    other.write_bytes(b"another's")
    await blobs.delete(KEY)
    assert not part.exists()
    assert other.exists()


async def test_a_missing_file_is_said_to_be_missing(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        await blobs.get(KEY)
    with pytest.raises(BlobMissing):
        await blobs.size(KEY)
    with pytest.raises(BlobMissing):
        await anext(blobs.stream(KEY))


async def test_the_readers_own_error_passes_through_a_stream(blobs: Blobs) -> None:
    await blobs.put(KEY, b"x", "text/plain")

    async def read() -> None:
        async for _ in blobs.stream(KEY):
            raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        await read()


async def test_a_new_store_finds_the_files_of_the_old(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    await Blobs(folder).put(KEY, b"x", "text/plain")
    assert await Blobs(folder.as_uri()).get(KEY) == b"x"
    assert (folder / str(TENANT) / "imports" / "contacts.csv").read_bytes() == b"x"


async def test_a_store_that_fails_is_unavailable(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    (tmp_path / str(TENANT)).write_text("a file where a folder is needed", encoding="utf-8")
    with pytest.raises(BlobsUnavailable) as caught:
        await blobs.put(KEY, b"x", "text/plain")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        f"{TENANT}/imports",
        f"{TENANT}/imports/",
        f"{TENANT}/imports/..",
        f"{TENANT}/imports/.hidden",
        f"{TENANT}/../x",
        f"../{TENANT}/imports/x",
        f"/{TENANT}/imports/x",
        f"{TENANT}/imports/a/b",
        f"{TENANT}/imports/a\\b",
        f"{TENANT}/imports/a\nb",
        f"{TENANT}/imports/a\n",
        f"{TENANT}/imports/a\0",
        f"{TENANT}/imports/a%2e",
        f"{TENANT}/imports/名",
        f"{TENANT}/Imports/x",
        f"{TENANT}//x",
        f"{TENANT}/imports/" + "x" * 201,
        "not-a-tenant/imports/x",
    ],
)
async def test_a_key_that_is_not_ours_is_refused_everywhere(tmp_path: Path, key: str) -> None:
    blobs = Blobs(tmp_path)
    for act in (blobs.put(key, b"x", "text/plain"), blobs.get(key), blobs.delete(key), blobs.exists(key)):
        with pytest.raises(BlobKeyInvalid):
            await act
    with pytest.raises(BlobKeyInvalid):
        await anext(blobs.stream(key))
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_url_does_not_show() -> None:
    assert repr(Blobs("memory://")) == "Blobs(MemoryStore)"
