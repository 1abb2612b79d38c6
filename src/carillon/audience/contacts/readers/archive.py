"""Opens the zip container of a spreadsheet, refusing bombs before a byte is unpacked.

The declared sizes can be trusted as limits: `zipfile` never unpacks more of an entry than its directory declares.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .contract import ReaderLimits
from .errors import BrokenFile, EncryptedFile, TruncatedFile, UnreadableFile, ZipBomb

_SMALL_ENTRY = 1024**2
_ENCRYPTED = 0x1
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@contextmanager
def open_archive(path: Path, limits: ReaderLimits) -> Iterator[zipfile.ZipFile]:
    """Give the checked archive; damage met while it is open becomes `UnreadableFile`.

    Raises:
        TruncatedFile: The directory at the end is missing.
        ZipBomb: Too many entries, too much unpacked, or a ratio no document has.
        EncryptedFile: An entry needs a password.
        BrokenFile: A checksum or a compressed stream is wrong.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise TruncatedFile(place="end of file") from error
    with archive:
        _check(archive, limits)
        try:
            yield archive
        except UnreadableFile:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise BrokenFile(place="zip entry") from error


def _check(archive: zipfile.ZipFile, limits: ReaderLimits) -> None:
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > limits.max_entries or total > limits.max_uncompressed:
        raise ZipBomb(entries=len(entries), unpacked=total)
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise EncryptedFile(place=entry.filename)
        if entry.compress_type not in _METHODS:
            raise BrokenFile("The file is packed by a method we do not read.", place=entry.filename)
        if entry.file_size > max(_SMALL_ENTRY, entry.compress_size * limits.max_ratio):
            raise ZipBomb(place=entry.filename, ratio=entry.file_size // max(entry.compress_size, 1))
