"""Reads the `result.json` of Telegram Desktop's export: `contacts.list`, and the personal chats of `chats.list`.

The format is described at telegram.org/blog/export-and-more and by the application's source (export/output).
Messages are passed over without being decoded; an export of gigabytes is read in bounded memory.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

from .contract import BATCH, RAW_SHOWN, Batch, FileKind, Position, Reader, ReaderLimits, RowFault, SourceRow, gather
from .errors import UnknownFormat
from .json_cursor import JsonCursor, Scalar
from .text import NUL, clean

_COLUMNS = ["telegram_id", "name", "first_name", "last_name", "phone", "source", "added_at"]
_SECTIONS = {"contacts": "contacts.list", "chats": "chats.list"}
_BYTES_A_CONTACT = 150
_MAX_ID = 2**52


class TelegramReader(Reader):
    """Streams people out of an export; the columns are always the same. See `Reader`.

    A person who is both a contact and a chat comes twice; `source` says which list a row is from.
    """

    kind = FileKind.TELEGRAM
    encoding = "utf-8"
    _known: ClassVar[frozenset[str]] = frozenset(
        {"about", "personal_information", "contacts", "frequent_contacts", "chats", "left_chats", "sessions"}
    )

    def __init__(self, path: Path, *, start: int, limits: ReaderLimits) -> None:
        """Check that the JSON at byte `start` is an export.

        Raises:
            UnknownFormat: It is some other JSON.
        """
        self._path = path
        self._limits = limits
        self._start = start
        self.columns = list(_COLUMNS)
        with self._cursor(start) as cursor:
            cursor.enter(b"{")
            if cursor.leaves(b"}") or cursor.key() not in self._known:
                raise UnknownFormat("This JSON is not an export of Telegram Desktop.", place=f"byte {start}")

    def estimate_rows(self) -> int:
        """Return an upper guess by the size; messages make it far too high."""
        return max(self._path.stat().st_size // _BYTES_A_CONTACT, 1)

    def batches(self, *, from_position: Position | None = None, size: int = BATCH) -> Iterator[Batch]:
        """See `Reader.batches`."""
        return gather(self._items(from_position or Position(self._start, 0)), size)

    def _cursor(self, offset: int) -> JsonCursor:
        return JsonCursor(self._path, offset=offset, longest=self._limits.max_row_bytes)

    def _items(self, start: Position) -> Iterator[tuple[SourceRow | RowFault, Position]]:
        with self._cursor(start.offset) as cursor:
            walk = _Walk(cursor, start.number)
            if start.section:
                yield from walk.people(start.section)
                walk.leave_section()
            else:
                cursor.enter(b"{")
            while not cursor.leaves(b"}"):
                yield from walk.member(cursor.key())


class _Walk:
    """Goes through the export once and counts the people."""

    def __init__(self, cursor: JsonCursor, number: int) -> None:
        self._cursor = cursor
        self._number = number

    def member(self, name: str) -> Iterator[tuple[SourceRow | RowFault, Position]]:
        """Pass one top-level member, giving the people of the two lists."""
        section = _SECTIONS.get(name)
        if section is None or self._cursor.peek() != b"{":
            self._cursor.skip()
            return
        self._cursor.enter(b"{")
        while not self._cursor.leaves(b"}"):
            if self._cursor.key() == "list" and self._cursor.peek() == b"[":
                self._cursor.enter(b"[")
                yield from self.people(section)
            else:
                self._cursor.skip()

    def leave_section(self) -> None:
        """Pass what follows a list inside its section."""
        while not self._cursor.leaves(b"}"):
            self._cursor.key()
            self._cursor.skip()

    def people(self, section: str) -> Iterator[tuple[SourceRow | RowFault, Position]]:
        """Give the people of a list from here to its end, with the place behind each."""
        while not self._cursor.leaves(b"]"):
            offset = self._cursor.offset
            fields = self._fields()
            if section == "chats.list" and fields.get("type") != "personal_chat":
                continue
            self._number += 1
            item = _person(self._number, offset, section, fields)
            yield item, Position(self._cursor.offset, self._number, section)

    def _fields(self) -> dict[str, Scalar]:
        fields: dict[str, Scalar] = {}
        if self._cursor.peek() != b"{":
            self._cursor.skip()
            return fields
        self._cursor.enter(b"{")
        while not self._cursor.leaves(b"}"):
            name = self._cursor.key()
            fields[name] = self._cursor.value()
        return fields


def _person(number: int, offset: int, section: str, fields: dict[str, Scalar]) -> SourceRow | RowFault:
    first, last = _text(fields, "first_name"), _text(fields, "last_name")
    identity = fields.get("user_id") or (fields.get("id") if section == "chats.list" else None)
    known = isinstance(identity, int) and not isinstance(identity, bool) and 0 < identity < _MAX_ID
    phone = _text(fields, "phone_number")
    name = _text(fields, "name") or " ".join(filter(None, (first, last)))
    source = section.partition(".")[0]
    values = [str(identity) if known else "", name, first, last, phone, source, _text(fields, "date")]
    raw = str(dict(islice(fields.items(), 10)))[:RAW_SHOWN].replace(NUL, "\ufffd")
    if not known and not phone:
        return RowFault(number, offset, "no_address", "The entry has neither a user id nor a phone number.", raw)
    if any(NUL in value for value in values):
        return RowFault(number, offset, "nul", "The entry holds a NUL character.", raw)
    return SourceRow(number, offset, [clean(value) for value in values])


def _text(fields: dict[str, Scalar], name: str) -> str:
    """Return a text as valid Unicode: JSON may hold half a surrogate pair."""
    value = fields.get(name)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
