"""The small parts of a workbook: which sheet, which cells are dates, and the shared strings.

Names and types are those of ECMA-376 part 1: 18.2 (workbook), 18.8 (styles), 18.4 (shared strings).
"""

import re
import zipfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from posixpath import join, normpath
from typing import IO
from xml.parsers import expat

from .contract import ReaderLimits
from .errors import BrokenFile, UnknownFormat, ZipBomb

_CHUNK = 64 * 1024
_BUILT_IN_DATES = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
_NOT_DATE_CODE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|General', re.IGNORECASE)
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")

Attributes = dict[str, str]


def local(name: str) -> str:
    """Return an element's name without its namespace prefix."""
    return name.rpartition(":")[2]


def new_parser(
    start: Callable[[str, Attributes], None], end: Callable[[str], None], text: Callable[[str], None]
) -> expat.XMLParserType:
    """Return a streaming parser that refuses document types, so no entity can expand."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    return parser


def _refuse(*_: object) -> None:
    raise BrokenFile("The sheet declares a document type; spreadsheets do not.")


def parse_steps(stream: IO[bytes], parser: expat.XMLParserType, part: str) -> Iterator[None]:
    """Feed a part to the parser, pausing after every chunk.

    Raises:
        BrokenFile: It is not well-formed XML.
    """
    try:
        while chunk := stream.read(_CHUNK):
            parser.Parse(chunk, False)
            yield
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise BrokenFile(place=f"{part}, byte {parser.ErrorByteIndex}") from error
    yield


def elements(archive: zipfile.ZipFile, part: str) -> list[tuple[str, Attributes]]:
    """Return the start tags of a small part in order; none if the part is absent."""
    found: list[tuple[str, Attributes]] = []
    if part not in archive.NameToInfo:
        return found
    parser = new_parser(lambda name, attrs: found.append((local(name), attrs)), lambda _: None, lambda _: None)
    with archive.open(part) as stream:
        for _ in parse_steps(stream, parser, part):
            if len(found) > 1_000_000:  # noqa: PLR2004 - no real part comes near
                raise ZipBomb(place=part)
    return found


@dataclass(frozen=True, slots=True)
class Workbook:
    """Where the sheet and its companions are, and how dates count."""

    sheet_name: str
    sheet_part: str
    strings_part: str
    styles_part: str
    since_1904: bool


def find_sheet(archive: zipfile.ZipFile, wanted: str | None) -> Workbook:
    """Choose the sheet named `wanted`, otherwise the first visible one.

    Raises:
        UnknownFormat: The archive is no workbook or has no such sheet.
    """
    root = _relations(archive, "_rels/.rels", "")
    book = next((target for kind, target in root.values() if kind == "officeDocument"), "xl/workbook.xml")
    folder, _, name = book.rpartition("/")
    relations = _relations(archive, f"{folder}/_rels/{name}.rels", folder)
    tags = elements(archive, book)
    sheets = [attrs for tag, attrs in tags if tag == "sheet"]
    visible = [sheet for sheet in sheets if sheet.get("state", "visible") == "visible"]
    chosen = [sheet for sheet in sheets if sheet.get("name") == wanted] if wanted else visible or sheets
    for sheet in chosen:
        identity = next((value for key, value in sheet.items() if local(key) == "id"), "")
        kind, part = relations.get(identity, ("", ""))
        if kind == "worksheet" and part in archive.NameToInfo:
            since_1904 = any(attrs.get("date1904") in {"1", "true"} for tag, attrs in tags if tag == "workbookPr")
            others = dict(relations.values())
            strings, styles = others.get("sharedStrings", ""), others.get("styles", "")
            return Workbook(sheet.get("name", ""), part, strings, styles, since_1904)
    raise UnknownFormat("The file holds no readable sheet.", sheets=[sheet.get("name", "") for sheet in sheets[:50]])


def _relations(archive: zipfile.ZipFile, part: str, folder: str) -> dict[str, tuple[str, str]]:
    """Return kind and part by relation id."""
    relations = {}
    for tag, attrs in elements(archive, part):
        if tag == "Relationship":
            target = attrs.get("Target", "")
            absolute = target[1:] if target.startswith("/") else normpath(join(folder, target))
            relations[attrs.get("Id", "")] = (attrs.get("Type", "").rpartition("/")[2], absolute)
    return relations


def date_styles(archive: zipfile.ZipFile, part: str) -> frozenset[str]:
    """Return the style numbers (attribute `s` of cells) whose format shows a date or time."""
    tags = elements(archive, part)
    codes = {attrs.get("numFmtId", ""): attrs.get("formatCode", "") for tag, attrs in tags if tag == "numFmt"}
    names = [tag for tag, _ in tags]
    first = names.index("cellXfs") + 1 if "cellXfs" in names else len(tags)
    formats: list[str] = []
    for tag, attrs in tags[first:]:
        if tag == "xf":
            formats.append(attrs.get("numFmtId", "0"))
        elif tag in {"cellStyles", "dxfs", "tableStyles"}:
            break
    return frozenset(str(index) for index, fmt in enumerate(formats) if _is_date(fmt, codes.get(fmt)))


def _is_date(identity: str, code: str | None) -> bool:
    if code is None:
        return identity.isdigit() and int(identity) in _BUILT_IN_DATES
    return any(letter in "ymdhs" for letter in _NOT_DATE_CODE.sub("", code.split(";")[0]).lower())


@dataclass(slots=True)
class SharedStrings:
    """The workbook's table of texts, held as one run of bytes: 8 bytes and the text itself for each."""

    text: bytearray = field(default_factory=bytearray)
    ends: "array[int]" = field(default_factory=lambda: array("Q"))

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self.ends):
            raise BrokenFile(f"A cell refers to text {index} of {len(self.ends)}.")
        begin = self.ends[index - 1] if index else 0
        return self.text[begin : self.ends[index]].decode()


@dataclass(slots=True)
class _StringTable:
    """Takes the parser's events of the shared strings; phonetic guides (`rPh`) are left out."""

    strings: SharedStrings
    _pieces: list[str] = field(default_factory=list)
    _taking: bool = False
    _guide: bool = False

    def start(self, name: str, _: Attributes) -> None:
        """Meet a start tag."""
        tag = local(name)
        self._guide = self._guide or tag == "rPh"
        self._taking = tag == "t" and not self._guide

    def text(self, data: str) -> None:
        """Meet text."""
        if self._taking:
            self._pieces.append(data)

    def end(self, name: str) -> None:
        """Meet an end tag."""
        tag = local(name)
        self._taking = False
        if tag == "rPh":
            self._guide = False
        elif tag == "si":
            self.strings.text += unescape("".join(self._pieces)).encode(errors="replace")
            self.strings.ends.append(len(self.strings.text))
            self._pieces.clear()


def read_strings(archive: zipfile.ZipFile, part: str, limits: ReaderLimits) -> SharedStrings:
    """Read the table of shared strings.

    Raises:
        ZipBomb: It would take more memory than `limits.max_shared_text`.
    """
    table = _StringTable(SharedStrings())
    strings = table.strings
    if part in archive.NameToInfo:
        parser = new_parser(table.start, table.end, table.text)
        with archive.open(part) as stream:
            for _ in parse_steps(stream, parser, part):
                if len(strings.text) + 8 * len(strings.ends) > limits.max_shared_text:
                    raise ZipBomb("The sheet holds more different texts than allowed; save it as CSV.", place=part)
    return strings


def unescape(text: str) -> str:
    """Undo `_xHHHH_`, the way spreadsheets write control characters (ECMA-376 part 1, 22.9.2.19)."""
    if "_x" not in text:
        return text
    units = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
