"""Decides by content what a contact file is, and opens the reader for it."""

from pathlib import Path

from .contract import Dialect, FileKind, Reader, ReaderLimits
from .delimited import DelimitedReader
from .encoding import profile_text
from .errors import EmptyFile, EncryptedFile, FileTooLarge, UnknownFormat
from .telegram import TelegramReader
from .vcard import VcardReader
from .xlsx import XlsxReader

_HEAD = 4096
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_FOREIGN = {
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"SQLite format 3": "a database",
    b"{\\rtf": "a text document",
    b"PK\x05\x06": "an empty archive",
}
_LIMITS = ReaderLimits()


def open_reader(
    path: Path,
    *,
    name: str,
    limits: ReaderLimits = _LIMITS,
    has_header: bool | None = None,
    encoding: str | None = None,
    dialect: Dialect | None = None,
    sheet: str | None = None,
) -> Reader:
    """Open a contact file; whatever is not given is found out.

    Args:
        path: The file.
        name: What the user called it; only shown in errors, the content decides.
        limits: What the file may ask of us.
        has_header: Whether the first row names the columns (delimited and XLSX); None refuses a row of data.
        encoding: Python's name of the encoding (text formats); a byte order mark wins.
        dialect: Delimiter and quotes (delimited).
        sheet: Name of the sheet (XLSX); otherwise the first visible one.

    Raises:
        UnreadableFile: See `errors`; `place` holds the byte or row where one is known.
    """
    size = path.stat().st_size
    if size == 0:
        raise EmptyFile(file=name)
    if size > limits.max_bytes:
        raise FileTooLarge(file=name, bytes=size, allowed=limits.max_bytes)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(_ZIP):
        return XlsxReader(path, limits=limits, has_header=has_header, sheet=sheet)
    _refuse_foreign(path, head, name)
    profile = profile_text(path, encoding)
    beginning = head[profile.start :].decode(profile.encoding, errors="replace").lstrip("\ufeff \t\r\n\0")
    match _text_kind(beginning[:200].lower()):
        case FileKind.VCARD:
            return VcardReader(path, profile, limits=limits)
        case FileKind.TELEGRAM if profile.encoding == "utf-8":
            return TelegramReader(path, start=profile.start, limits=limits)
        case FileKind.DELIMITED:
            return DelimitedReader(path, profile, limits=limits, has_header=has_header, dialect=dialect)
    raise UnknownFormat("The file is a web page, XML or JSON of some other kind; save it as CSV.", file=name)


def _text_kind(beginning: str) -> FileKind | None:
    if beginning.replace(" ", "").startswith("begin:vcard"):
        return FileKind.VCARD
    if beginning.startswith("{"):
        return FileKind.TELEGRAM
    if beginning.startswith(("<!doctype", "<html", "<?xml", "<table")):
        return None
    return FileKind.DELIMITED


def _refuse_foreign(path: Path, head: bytes, name: str) -> None:
    if head.startswith(_OLE):
        if _holds(path, _ENCRYPTED_PACKAGE):
            raise EncryptedFile(file=name)
        raise UnknownFormat("The file is an old Excel or Word document; save it as .xlsx.", file=name)
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise UnknownFormat(f"The file is {what}; save the contacts as CSV or XLSX.", file=name, place="byte 0")


def _holds(path: Path, needle: bytes) -> bool:
    """Search a compound file's directory; it may stand anywhere."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(1024**2):
            if needle in rest + block:
                return True
            rest = block[-len(needle) :]
    return False
