"""The file of an import: its local copy, its reader, and how far a position is in it."""

from pathlib import Path

from carillon.audience.contacts.contracts import Import
from carillon.audience.contacts.readers import FileKind, Position, Reader, open_reader
from carillon.storage.blobs import Blobs


async def fetch(blobs: Blobs, key: str, path: Path) -> None:
    """The file of an import as a local one, because readers seek."""
    with path.open("wb") as file:
        async for piece in blobs.stream(key):
            file.write(piece)


def open_stored(path: Path, found: Import) -> Reader:
    """The reader as it was detected when the file came."""
    chosen = found.format
    return open_reader(
        path,
        name=found.file_name,
        has_header=chosen.get("has_header"),
        sheet=chosen.get("sheet"),
        encoding=chosen.get("forced_encoding"),
    )


def bytes_done(found: Import, end: Position) -> int:
    """How far into the file a position is; sheets are measured in rows."""
    if found.format.get("kind") == FileKind.XLSX:
        estimated = max(int(found.format.get("estimated_rows") or 1), 1)
        return min(found.size, found.size * end.number // estimated)
    return min(end.offset, found.size)
