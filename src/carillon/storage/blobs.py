"""Files too large for a row: imports, exports, media. A local folder, or an object store by its URL.

A key is `tenant/area/name`: the tenant's id, what the file is for, and a name made by us (an id and an
extension, never what a person called the file). One tenant's files share a prefix, and no key can leave it.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from carillon.kernel.errors import Invalid, NotFound, Unavailable

_CHUNK = 256 * 1024
_LOCAL = "file"
# A name begins with a letter or digit, so it is not ".."; 200 leaves room in a file name's 255 bytes.
_KEY = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"/[a-z][a-z0-9_-]{0,63}"
    r"/[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
)


class BlobMissing(NotFound):
    """There is no such file."""

    code = "blob_missing"


class BlobKeyInvalid(Invalid):
    """A file's key must be `tenant/area/name` of plain letters, digits, dots, dashes and underscores."""

    code = "blob_key_invalid"


class BlobsUnavailable(Unavailable):
    """The file store does not answer."""

    code = "blobs_unavailable"


def blob_key(tenant_id: UUID, area: str, name: str) -> str:
    """The key of a tenant's file.

    Raises:
        BlobKeyInvalid: Area or name has a forbidden character, is empty or too long (64 and 200).
    """
    return _checked(f"{tenant_id}/{area}/{name}")


class Blobs:
    """A store of files under keys as `blob_key` makes them; it takes no others."""

    def __init__(self, place: Path | str) -> None:
        """Open the store.

        Args:
            place: A folder, created if missing, or a URL such as `s3://bucket/prefix`, `memory://` or
                `file:///folder`. The credentials of an object store come from its usual variables.
        """
        text = str(place)
        self._folder: Path | None = None
        if "://" not in text or text.startswith(f"{_LOCAL}://"):
            self._folder = Path(unquote(urlsplit(text).path) if "://" in text else text).absolute()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._store: ObjectStore = LocalStore(self._folder)
        else:
            self._store = from_url(text)

    def __repr__(self) -> str:
        # Not the URL: it may carry credentials.
        return f"Blobs({self._folder or type(self._store).__name__})"

    async def put(self, key: str, content: bytes | AsyncIterator[bytes], content_type: str) -> None:
        """Store a file, whole or not at all, replacing one of the same key.

        Args:
            key: Made by `blob_key`.
            content: The bytes, or a stream of them; if the stream raises, nothing is stored.
            content_type: Its media type, kept where the store has a place for it (a folder has none).

        Raises:
            BlobKeyInvalid: The key is not one of ours.
            BlobsUnavailable: The store failed.
        """
        _checked(key)
        with _reporting():
            # A folder refuses attributes altogether.
            attributes = None if self._folder else {"Content-Type": content_type}
            await obstore.put_async(self._store, key, content, attributes=attributes)
        if self._folder:
            await asyncio.to_thread(_sync, self._folder, key)

    async def get(self, key: str) -> bytes:
        """The whole file: for small ones.

        Raises:
            BlobMissing: There is none.
        """
        with _reporting():
            answer = await obstore.get_async(self._store, _checked(key))
            return bytes(await answer.bytes_async())

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The file in pieces of about 256 KiB.

        Raises:
            BlobMissing: There is none; raised at the first step.
        """
        with _reporting():
            answer = await obstore.get_async(self._store, _checked(key))
            pieces = aiter(answer.stream(min_chunk_size=_CHUNK))
        while True:
            # Not around the yield: what the reader raises is not the store's fault.
            with _reporting():
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield bytes(piece)

    async def delete(self, key: str) -> None:
        """Remove a file, and what a process that died while storing it left; nothing happens if there is none."""
        try:
            with _reporting():
                await obstore.delete_async(self._store, _checked(key))
        except BlobMissing:
            pass
        if self._folder:
            await asyncio.to_thread(_remove_parts, self._folder / key)

    async def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        try:
            await self.size(key)
        except BlobMissing:
            return False
        return True

    async def size(self, key: str) -> int:
        """Its size in bytes.

        Raises:
            BlobMissing: There is none.
        """
        with _reporting():
            return int((await obstore.head_async(self._store, _checked(key)))["size"])


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise BlobKeyInvalid
    return key


@contextmanager
def _reporting() -> Iterator[None]:
    """Turn the store's errors into ours; their messages name servers and folders, so they stay causes."""
    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise BlobMissing from error
    except BaseError as error:
        raise BlobsUnavailable from error


def _remove_parts(file: Path) -> None:
    """Obstore writes a stream to `name#1` and renames it in the end; no name of ours has such a sign."""
    for part in file.parent.glob(f"{file.name}#*"):
        part.unlink(missing_ok=True)


def _sync(folder: Path, key: str) -> None:
    """Make a new file survive a power cut: obstore renames it into place without a sync."""
    file = folder / key
    for place in (file, file.parent, file.parent.parent, folder):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
