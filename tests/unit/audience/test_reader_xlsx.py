"""XLSX: the same values another library sees, resuming, and archives that mean harm."""

import datetime as dt
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from carillon.audience.contacts.readers import FileKind, ReaderLimits, RowFault, SourceRow, open_reader
from carillon.audience.contacts.readers.errors import (
    BrokenFile,
    EmptyFile,
    EncryptedFile,
    NoHeader,
    TooManyColumns,
    TruncatedFile,
    UnknownFormat,
    UnreadableFile,
    ZipBomb,
)


@pytest.fixture
def book(tmp_path: Path):
    def book(rows: list[list[object]], title: str = "People") -> Path:
        workbook = openpyxl.Workbook()
        sheet = workbook.active
        sheet.title = title
        for row in rows:
            sheet.append(row)
        path = tmp_path / "contacts.xlsx"
        workbook.save(path)
        return path

    return book


def values(path: Path, **options) -> list[list[str]]:
    return [row.values for row in open_reader(path, name="c").rows(**options) if isinstance(row, SourceRow)]


def rewritten(path: Path, part: str, change) -> Path:
    """Return a copy of the archive with one part changed."""
    target = path.with_name("changed.xlsx")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for entry in source.infolist():
            data = source.read(entry)
            copy.writestr(entry.filename, change(data) if entry.filename == part else data)
    return target


SHEET = "xl/worksheets/sheet1.xml"


def test_values_of_every_kind(book):
    path = book(
        [
            ["Phone", "Name", "Day", "Moment", "Time", "Yes", "Rate", "Empty"],
            [
                8613800138000,
                "王小明",
                dt.date(2026, 11, 3),
                dt.datetime.fromisoformat("2026-11-03T09:30"),
                dt.time(9, 30),
                True,
                1.5,
                None,
            ],
            ["+8613800138001", "a\u0308_x0041_", None, None, None, False, 12345678901234, "=1+1"],
        ]
    )
    reader = open_reader(path, name="c.xlsx")
    assert (reader.kind, len(reader.columns)) == (FileKind.XLSX, 8)
    first, second = values(path)
    assert first == ["8613800138000", "王小明", "2026-11-03", "2026-11-03T09:30:00", "09:30:00", "true", "1.5", ""]
    assert second[0] == "+8613800138001"
    assert second[1].startswith("ä")
    assert second[5:] == ["false", "12345678901234", ""]


def test_agrees_with_another_library(book):
    rows = [["Phone", "Name", "Age"], *([f"+86{index}", f"Имя {index} 名 <&>", index % 90] for index in range(300))]
    path = book(rows)
    other = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    assert values(path) == [[row[0], row[1], f"{row[2]:.0f}"] for row in other[1:]]


def test_row_numbers_are_the_sheet_s_and_it_resumes(book):
    path = book([[], ["Phone", "Name"], ["+1", "a"], [None, None], *([f"+{index}", "b"] for index in range(2, 30))])
    reader = open_reader(path, name="c")
    whole = list(reader.rows())
    assert [row.number for row in whole][:3] == [3, 5, 6]
    for batch in reader.batches(size=4):
        rest = [row for row in whole if row.number > batch.next.number]
        assert list(reader.rows(from_position=batch.next)) == rest


def test_chooses_the_first_visible_sheet(tmp_path):
    workbook = openpyxl.Workbook()
    workbook.active.append(["hidden"])
    workbook.active.sheet_state = "hidden"
    workbook.create_sheet("People").append(["Phone"])
    workbook.create_sheet("Other").append(["Mail"])
    path = tmp_path / "c.xlsx"
    workbook.save(path)
    assert open_reader(path, name="c").columns == ["Phone"]
    assert open_reader(path, name="c", sheet="Other").columns == ["Mail"]
    with pytest.raises(UnknownFormat):
        open_reader(path, name="c", sheet="None such")


def test_a_cell_at_the_far_corner_costs_nothing(book):
    path = book([["Phone", "Name"], ["+1", "a"]])
    far = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row></sheetData>'
    changed = rewritten(path, SHEET, lambda data: data.replace(b"</sheetData>", far))
    rows = list(open_reader(changed, name="c").rows())
    assert [(row.number, isinstance(row, RowFault)) for row in rows] == [(2, False), (1048576, True)]


RELATION = (
    b'<Relationship Id="rIdS" Target="sharedStrings.xml" '
    b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"/></Relationships>'
)
TABLE = (
    """<sst><si><t>+1</t></si><si><r><t>東</t></r><rPh><t>higashi</t></rPh><r><t>京_xD83D__xDE00_</t></r></si></sst>"""
)


def with_shared_strings(path: Path) -> Path:
    cells = b'<row r="2"><c r="A2" t="s"><v>0</v></c><c r="B2" t="s"><v>1</v></c></row></sheetData>'
    changed = rewritten(path, SHEET, lambda data: data.replace(b"</sheetData>", cells))
    final = changed.rename(path.with_name("step.xlsx"))
    final = rewritten(final, "xl/_rels/workbook.xml.rels", lambda data: data.replace(b"</Relationships>", RELATION))
    with zipfile.ZipFile(final, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", TABLE)
    return final


def test_shared_strings_without_phonetic_guides(book):
    assert values(with_shared_strings(book([["Phone", "Name"]]))) == [["+1", "東京\U0001f600"]]


def test_too_many_shared_strings(book):
    with pytest.raises(ZipBomb):
        open_reader(with_shared_strings(book([["Phone", "Name"]])), name="c", limits=ReaderLimits(max_shared_text=1))


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (ReaderLimits(max_uncompressed=1000), ZipBomb),
        (ReaderLimits(max_entries=3), ZipBomb),
        (ReaderLimits(max_columns=1), TooManyColumns),
    ],
)
def test_limits(book, limits, error):
    with pytest.raises(error):
        open_reader(book([["Phone", "Name"], ["+1", "a"]]), name="c", limits=limits)


def test_a_ratio_no_document_has(book):
    path = rewritten(book([["Phone"], ["+1"]]), SHEET, lambda data: data + b" " * 20_000_000)
    with pytest.raises(ZipBomb):
        open_reader(path, name="c")


def test_entities_never_expand(book):
    doctype = b'<!DOCTYPE a [<!ENTITY b "boom">]><worksheet'
    path = rewritten(book([["Phone"], ["+1"]]), SHEET, lambda data: data.replace(b"<worksheet", doctype, 1))
    with pytest.raises(BrokenFile):
        open_reader(path, name="c")


def test_half_written_at_every_length(book):
    data = book([["Phone", "Name"], *([f"+{index}", "a"] for index in range(50))]).read_bytes()
    path = Path(book([["x"]]).parent, "half.xlsx")
    for length in range(10, len(data), 211):
        path.write_bytes(data[:length])
        with pytest.raises(TruncatedFile):
            open_reader(path, name="c")


def test_damaged_anywhere_is_an_error_or_rows(book):
    data = bytearray(book([["Phone", "Name"], *([f"+{index}", "a"] for index in range(50))]).read_bytes())
    path = Path(book([["x"]]).parent, "hit.xlsx")
    for at in range(4, len(data), 97):
        hit = bytearray(data)
        hit[at] ^= 0x55
        path.write_bytes(hit)
        # Any other exception fails the test.
        with suppress(UnreadableFile):
            list(open_reader(path, name="c").rows())


def test_passwords(tmp_path, book):
    ole = tmp_path / "locked.xlsx"
    ole.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000) + "EncryptedPackage".encode("utf-16-le"))
    with pytest.raises(EncryptedFile):
        open_reader(ole, name="c")
    data = bytearray(book([["Phone"], ["+1"]]).read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8 : at + 10] = struct.pack("<H", 1)
    locked = tmp_path / "zip.xlsx"
    locked.write_bytes(data)
    with pytest.raises(EncryptedFile):
        open_reader(locked, name="c")


def test_no_rows_and_no_header(book):
    with pytest.raises(EmptyFile):
        open_reader(book([]), name="c")
    with pytest.raises(NoHeader):
        open_reader(book([["+8613800138000", "Wang"]]), name="c")
