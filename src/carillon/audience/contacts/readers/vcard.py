"""Reads vCard files: 3.0 (RFC 2426), 4.0 (RFC 6350), and 2.1 as older telephones write it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from .contract import BATCH, RAW_SHOWN, Batch, FileKind, Position, Reader, ReaderLimits, RowFault, SourceRow, gather
from .encoding import TextProfile
from .lines import LineRule, LineTooLong, blocks
from .text import NUL, clean
from .vcard_lines import Property, is_quoted_printable, parse_line, split, unescape

_SINGLE = {
    "FN": "name",
    "NICKNAME": "nickname",
    "TITLE": "title",
    "BDAY": "birthday",
    "NOTE": "note",
    "TZ": "time_zone",
    "UID": "uid",
}
_MANY = {"TEL": "phone", "EMAIL": "email", "LANG": "language"}
_IGNORED = (b"PHOTO", b"LOGO", b"SOUND", b"KEY")
_COLUMNS = [
    *("name", "first_name", "last_name", "nickname", "phone", "phone_2", "phone_3", "more_phones"),
    *("email", "email_2", "more_emails", "company", "title", "birthday", "note", "language", "time_zone"),
    *("tags", "uid"),
]


@dataclass(slots=True)
class _Card:
    """The unfolded lines of one card, from its BEGIN at `offset`."""

    offset: int
    number: int
    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, line: bytes) -> None:
        """Take a physical line: a continuation of the last one or a new one; pictures are dropped."""
        folded = line[:1] in {b" ", b"\t"}
        soft = bool(self.lines) and self.lines[-1].endswith(b"=") and is_quoted_printable(self.lines[-1])
        if self.lines and (folded or soft):
            if self.lines[-1] not in _IGNORED:
                joined = self.lines[-1][:-1] if soft else self.lines[-1]
                self.lines[-1] = joined + (line[1:] if folded else line)
                self.size += len(line)
        elif line:
            name = line.split(b":", 1)[0].split(b";", 1)[0].rpartition(b".")[2].upper()
            self.lines.append(name if name in _IGNORED else line)
            self.size += 0 if name in _IGNORED else len(line)


class VcardReader(Reader):
    """Streams the cards of a vCard file; the columns are always the same. See `Reader`."""

    kind = FileKind.VCARD

    def __init__(self, path: Path, profile: TextProfile, *, limits: ReaderLimits) -> None:
        """Create the reader."""
        self._path = path
        self._limits = limits
        self._profile = profile
        self._rule = LineRule.of(profile.encoding, old_mac=profile.old_mac)
        self._wide = self._rule.step > 1
        self.encoding = profile.encoding
        self.columns = list(_COLUMNS)

    def estimate_rows(self) -> int:
        """Return the number of lines over that of a usual card."""
        return max(self._profile.lines // 6, 1)

    def batches(self, *, from_position: Position | None = None, size: int = BATCH) -> Iterator[Batch]:
        """See `Reader.batches`."""
        return gather(self._items(from_position or Position(self._profile.start, 0)), size)

    def _items(self, start: Position) -> Iterator[tuple[SourceRow | RowFault, Position]]:
        card: _Card | None = None
        number, end = start.number, start.offset
        for offset, end, line in self._lines(start.offset):
            word = line.strip().upper().replace(b" ", b"")
            if word == b"BEGIN:VCARD" or (card is None and word):
                if card is not None:
                    yield self._cut_off(card), Position(offset, number)
                number += 1
                card = _Card(offset, number)
                if word != b"BEGIN:VCARD":
                    text = "The line stands outside of a card."
                    yield self._fault(card, "outside_card", text, line), Position(end, number)
                    card = None
            elif word == b"END:VCARD" and card is not None:
                yield self._finish(card), Position(end, number)
                card = None
            elif card is not None:
                card.add(line)
        if card is not None:
            yield self._cut_off(card), Position(end, number)

    def _lines(self, offset: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield begin, end and bytes of each line, the bytes as UTF-8 if the file is in a wider encoding.

        An overlong line (a picture on one line) yields its beginning only.
        """
        with self._path.open("rb") as file:
            while True:
                pieces = blocks(file, self._rule, offset, self._limits.max_row_bytes)
                try:
                    for line in chain.from_iterable(map(self._rule.split, pieces)):
                        yield offset, offset + len(line), self._narrow(line)
                        offset += len(line)
                except LineTooLong as signal:
                    yield signal.start, signal.end, self._narrow(signal.head)
                    offset = signal.end
                else:
                    return

    def _narrow(self, line: bytes) -> bytes:
        if self._wide:
            line = line.decode(self.encoding, errors="replace").encode()
        return line.rstrip(b"\r\n")

    def _cut_off(self, card: _Card) -> RowFault:
        return self._fault(card, "truncated_card", "The card has no END:VCARD.", b"\n".join(card.lines[:20]))

    def _fault(self, card: _Card, code: str, text: str, raw: bytes) -> RowFault:
        shown = raw[: 4 * RAW_SHOWN].decode("utf-8" if self._wide else self.encoding, errors="replace")
        return RowFault(card.number, card.offset, code, text, clean(shown.replace(NUL, "\ufffd"))[:RAW_SHOWN])

    def _finish(self, card: _Card) -> SourceRow | RowFault:
        raw = b"\n".join(card.lines[:20])
        if card.size > self._limits.max_row_bytes:
            return self._fault(card, "row_too_long", "The card is longer than allowed.", raw)
        encoding = "utf-8" if self._wide else self.encoding
        try:
            properties = [parse_line(line, encoding) for line in card.lines if line not in _IGNORED]
        except (UnicodeDecodeError, LookupError):
            return self._fault(card, "undecodable", "A byte does not belong to the card's encoding.", raw)
        values = _values([item for item in properties if item is not None])
        if any(NUL in value for value in values.values()):
            return self._fault(card, "nul", "The card holds a NUL character.", raw)
        return SourceRow(card.number, card.offset, [clean(values.get(column, "")) for column in _COLUMNS])


def _values(properties: list[Property]) -> dict[str, str]:
    values: dict[str, str] = {}
    many: dict[str, list[str]] = {"phone": [], "email": [], "language": []}
    for item in sorted(properties, key=_rank):
        if item.name in _MANY:
            many[_MANY[item.name]].append(_address(item))
        elif item.name in _SINGLE:
            values.setdefault(_SINGLE[item.name], unescape(item.value))
        elif item.name == "N":
            last, first = [*split(item.value, ";"), "", ""][:2]
            values.setdefault("last_name", last)
            values.setdefault("first_name", first)
        elif item.name == "ORG":
            values.setdefault("company", ", ".join(filter(None, split(item.value, ";"))))
        elif item.name == "CATEGORIES":
            listed = values.get("tags", "").split(";") + split(item.value, ",")
            values["tags"] = ";".join(filter(None, listed))
    return values | _spread(many)


def _rank(item: Property) -> tuple[int, bool]:
    """Preferred addresses first, then mobile numbers; otherwise the order of the card."""
    return item.preference(), not (item.is_type("CELL") or item.is_type("MOBILE"))


def _address(item: Property) -> str:
    value = unescape(item.value)
    scheme, colon, rest = value.partition(":")
    return rest.partition(";")[0] if colon and scheme.lower() in {"tel", "mailto"} else value


def _spread(many: dict[str, list[str]]) -> dict[str, str]:
    phones = list(dict.fromkeys(filter(None, many["phone"])))
    emails = list(dict.fromkeys(filter(None, many["email"])))
    values = dict(zip(("phone", "phone_2", "phone_3"), phones, strict=False))
    values |= dict(zip(("email", "email_2"), emails, strict=False))
    values |= {"more_phones": ";".join(phones[3:]), "more_emails": ";".join(emails[2:])}
    return values | {"language": next(iter(filter(None, many["language"])), "")}
