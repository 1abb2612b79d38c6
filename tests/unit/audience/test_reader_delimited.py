"""CSV and its kin: every dialect and encoding, resuming anywhere, and damage that stays in its row."""

import csv
import io
import unicodedata
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.audience.contacts.readers import Dialect, ReaderLimits, RowFault, SourceRow, open_reader
from carillon.audience.contacts.readers.errors import (
    BrokenFile,
    EmptyFile,
    FileTooLarge,
    NoHeader,
    TooManyColumns,
    UnreadableFile,
)

HEADER = ["Phone", "Name", "Note"]


@pytest.fixture
def write(tmp_path: Path):
    def write(data: bytes | str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "contacts.csv"
        path.write_bytes(data if isinstance(data, bytes) else data.encode(encoding))
        return path

    return write


def values(path: Path, **options) -> list[list[str]]:
    return [row.values for row in open_reader(path, name="c.csv", **options).rows() if isinstance(row, SourceRow)]


def faults(path: Path, **options) -> list[RowFault]:
    return [row for row in open_reader(path, name="c.csv", **options).rows() if isinstance(row, RowFault)]


cells = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cf", "Mn"), exclude_characters="\ue000\ue001"),
    max_size=12,
).filter(lambda text: unicodedata.is_normalized("NFC", text))
tables = st.lists(st.lists(cells, min_size=3, max_size=3).filter(any), max_size=30)
dialects = st.builds(
    Dialect,
    delimiter=st.sampled_from(",;\t|"),
    quote=st.sampled_from(['"', "'"]),
    escape=st.just(""),
    skip_spaces=st.just(False),
)
ENCODINGS = [
    ("utf-8", b""),
    ("utf-8", b"\xef\xbb\xbf"),
    ("utf-16-le", b"\xff\xfe"),
    ("utf-16-be", b"\xfe\xff"),
    ("gb18030", b""),
]


def written(rows: list[list[str]], dialect: Dialect, quoting: Literal[0, 1], end: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=dialect.delimiter, quotechar=dialect.quote, quoting=quoting, lineterminator=end)
    writer.writerows(rows)
    return out.getvalue()


@settings(max_examples=150, deadline=None)
@given(
    table=tables,
    dialect=dialects,
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n"]),
    coding=st.sampled_from(ENCODINGS),
    odd=st.tuples(st.booleans(), st.booleans()),
)
def test_reads_back_what_was_written(table, dialect, quoting, end, coding, odd):
    breaks, last_end = odd
    if breaks:
        table = [[row[0], row[1] + "\n" + row[2], row[2]] for row in table]
    encoding, mark = coding
    text = written([HEADER, *table], dialect, quoting, end)
    data = mark + (text if last_end else text[: -len(end)]).encode(encoding)
    with TemporaryDirectory() as folder:
        path = Path(folder, "c.csv")
        path.write_bytes(data)
        reader = open_reader(path, name="c.csv", encoding=encoding, dialect=dialect)
        assert reader.columns == HEADER
        rows = list(reader.rows())
        assert [row.values for row in rows if isinstance(row, SourceRow)] == table
        assert len(rows) == len(table)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(
        st.sampled_from(["Иван", "José Peña", "王小明", "O'Brien", "Ana; Maria", "a,b", 'says "hi"', ""]),
        min_size=8,
        max_size=40,
    ),
    dialect=dialects,
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_finds_the_dialect_itself(names, dialect, quoting):
    if dialect.quote == "'" and (quoting == csv.QUOTE_MINIMAL or any('"' in name for name in names)):
        dialect = Dialect(dialect.delimiter)
    table = [[f"+86138{index:08}", name, f"user{index}@example.com"] for index, name in enumerate(names)]
    with TemporaryDirectory() as folder:
        path = Path(folder, "c.csv")
        path.write_text(written([HEADER, *table], dialect, quoting, "\r\n"), encoding="utf-8", newline="")
        reader = open_reader(path, name="c.csv")
        assert reader.dialect is not None
        assert reader.dialect.delimiter == dialect.delimiter
        assert [row.values for row in reader.rows() if isinstance(row, SourceRow)] == table


ODD_ROWS = [
    b"+861,Wang,ok\n", b"\n", b'+862,"two\nlines",x\n', b"+863,short\n", b"+864,a,b,too many\n", b"+865,\xff\xfe,bad\n",
    b"+866,nu\0l,x\n", "+867,é\u202e,x\n".encode(), b'+868,"open,x\n', b",,\n", b"+869,bell\x07,x\n",
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(ODD_ROWS), max_size=60), st.integers(1, 7), st.integers(0, 59))
def test_resumes_at_any_row_with_the_same_rest(lines, size, cut):
    with TemporaryDirectory() as folder:
        path = Path(folder, "c.csv")
        path.write_bytes(b"Phone,Name,Note\n" + b"".join(lines))
        reader = open_reader(path, name="c.csv", encoding="utf-8")
        whole = list(reader.rows())
        assert [row.number for row in whole] == sorted(row.number for row in whole)
        small: list[SourceRow | RowFault] = []
        for batch in reader.batches(size=size):
            after = list(reader.rows(from_position=batch.next))
            small += map(SourceRow, batch.numbers, batch.offsets, batch.rows)
            small += batch.faults
            assert sorted(small, key=lambda row: row.number) + after == whole
        assert list(reader.rows(start_after=cut)) == [row for row in whole if row.number > cut]


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=400), st.sampled_from([b"", b"Phone,Name\n", b"BEGIN:VCARD\n", b'{"contacts":', b"PK\x03\x04"])
)
def test_arbitrary_bytes_never_crash(data, beginning):
    with TemporaryDirectory() as folder:
        path = Path(folder, "c.csv")
        path.write_bytes(beginning + data)
        # Any other exception fails the test.
        with suppress(UnreadableFile):
            reader = open_reader(path, name="c.csv")
            for row in reader.rows():
                assert isinstance(row, RowFault) or len(row.values) == len(reader.columns)


def test_both_ways_give_the_same_rows(write):
    lines = [f"+{index},name {index},плюс\r\n" for index in range(12_000)]
    lines[7_000] = lines[7_000].replace("name", "\x07name")
    path = write("Phone,Name,Note\r\n" + "".join(lines))
    reader = open_reader(path, name="c.csv")
    rows = [row for row in reader.rows() if isinstance(row, SourceRow)]
    data = path.read_bytes()
    assert [row.values for row in rows] == [[f"+{index}", f"name {index}", "плюс"] for index in range(12_000)]
    assert all(data[row.offset :].startswith(row.values[0].encode() + b",") for row in rows)
    assert [row.number for row in rows] == list(range(2, 12_002))
    assert reader.estimate_rows() == 12_000


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"+1,\xff,x", "undecodable"),
        (b"+1,a\0b,x", "nul"),
        (b"+1,a,b,c", "too_many_cells"),
        (b"+1,a\rb,c", "stray_return"),
        (b'+1,"open,x', "unclosed_quote"),
        (b"+1," + b"a" * 140_000 + b",x", "cell_too_long"),
        (b"+1," + b"a" * 1_200_000 + b",x", "row_too_long"),
    ],
)
def test_a_bad_row_is_a_fault_and_the_others_stand(write, line, code):
    path = write(b"Phone,Name,Note\n+0,first,x\n" + line + b"\n+2,last,x\n")
    found = faults(path, encoding="utf-8")
    assert [(fault.number, fault.code) for fault in found] == [(3, code)]
    assert found[0].text
    assert "+1" in found[0].raw
    assert values(path, encoding="utf-8") == [["+0", "first", "x"], ["+2", "last", "x"]]


def test_an_undecodable_byte_is_named_by_its_offset(write):
    data = b"Phone,Name\n+1,ok\n+2,caf\xe9!\n"
    assert faults(write(data), encoding="utf-8")[0].offset == data.index(b"\xe9")


def test_utf16_with_half_a_surrogate_is_one_fault(write):
    data = "Phone,Name\n+1,ok\n+2,".encode("utf-16-le") + b"\x00\xd8" + "x\n+3,上海\n".encode("utf-16-le")
    path = write(b"\xff\xfe" + data)
    assert [fault.code for fault in faults(path)] == ["undecodable"]
    assert values(path) == [["+1", "ok"], ["+3", "上海"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("mark", [True, False])
def test_chinese_needs_no_telling(write, encoding, mark):
    text = "手机,姓名,城市\n" + "".join(f"138{index:08},张三丰{index},上海市浦东新区\n" for index in range(50))
    bom = "\ufeff" if mark and encoding != "gb18030" else ""
    path = write(bom + text, encoding)
    reader = open_reader(path, name="名单.csv")
    assert (reader.encoding, reader.columns) == (encoding, ["手机", "姓名", "城市"])
    assert len(values(path)) == 50


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("cp1252", "Müller, José Ibáñez y François à Besançon, señor Núñez está aquí mañana"),
        ("cp1251", "Иванов Сергей Петрович, город Санкт-Петербург, проспект Просвещения"),
        ("big5", "王小明先生住在臺北市信義區的忠孝東路五段"),
        ("cp949", "서울특별시 강남구 테헤란로에 사는 김철수 씨입니다"),
    ],
)
def test_legacy_encodings_are_guessed_right(write, encoding, sentence):
    text = "phone;name\n" + "".join(f"+7900{index:07};{sentence}\n" for index in range(40))
    path = write(text, encoding)
    assert values(path, dialect=Dialect(";"))[0][1] == sentence


def test_one_latin_name_among_ascii(write):
    assert values(write("phone,name\n+1,Ann\n+2,José\n+3,Bo\n", "cp1252"))[1] == ["+2", "José"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("block", [14, 22, 64])
def test_wide_line_ends_are_found_between_characters_only(write, encoding, block, monkeypatch):
    monkeypatch.setattr("carillon.audience.contacts.readers.lines.BLOCK", block)
    # Bytes of a line feed that straddle two characters: 05 0A | 00 01 and, the other way round, 01 00 | 0A 05.
    rows = [[f"+{index}", "\u0a05\u0100\u0a05\u0100"] for index in range(40)]
    text = "\ufeffphone,name\n" + "".join(f"{phone},{name}\n" for phone, name in rows)
    assert values(write(text, encoding)) == rows


def test_a_late_gbk_byte_in_an_ascii_file_is_seen(write):
    text = "phone,name\n" + "+1,abc\n" * 300_000 + "+2,王小明,\n".replace(",\n", "\n")
    assert values(write(text, "gb18030"))[-1] == ["+2", "王小明"]


def test_cleans_controls_overrides_and_composes(write):
    path = write("phone,name\n+1,A\u0308\u202egnp\u202c\x07\x9f\n")
    assert values(path) == [["+1", "Ägnp"]]


def test_old_mac_line_ends(write):
    assert values(write(b"phone,name\r+1,a\r+2,b")) == [["+1", "a"], ["+2", "b"]]


def test_excel_hint_line_and_blank_lines(write):
    reader = open_reader(write("sep=;\n\nphone;name\n\n+1;a\n;;\n+2;b\n\n"), name="c.csv")
    rows = list(reader.rows())
    assert reader.columns == ["phone", "name"]
    assert [(row.number, row.values) for row in rows if isinstance(row, SourceRow)] == [
        (4, ["+1", "a"]),
        (6, ["+2", "b"]),
    ]


def test_backslash_quotes(write):
    path = write('phone,name\n+1,"Ann \\"Queen\\" Lee"\n+2,"Bo"\n')
    assert values(path) == [["+1", 'Ann "Queen" Lee'], ["+2", "Bo"]]


def test_columns_get_names(write):
    assert open_reader(write("Phone,,Phone, Name ,Phone (2)\n1,2,3,4,5\n"), name="c").columns == [
        "Phone", "column 2", "Phone (3)", "Name", "Phone (2)",
    ]  # fmt: skip


def test_no_header_is_refused_unless_stated(write):
    path = write("+8613800138000,王小明\n+8613800138001,李雷\n")
    with pytest.raises(NoHeader):
        open_reader(path, name="c.csv")
    reader = open_reader(path, name="c.csv", has_header=False)
    assert reader.columns == ["column 1", "column 2"]
    assert [row.number for row in reader.rows()] == [1, 2]


@pytest.mark.parametrize(
    ("data", "limits", "error"),
    [
        (b"", ReaderLimits(), EmptyFile),
        (b"\n\n \n", ReaderLimits(), EmptyFile),
        (b"a,b\n1,2\n", ReaderLimits(max_bytes=4), FileTooLarge),
        (b"a,b,c\n1,2,3\n", ReaderLimits(max_columns=2), TooManyColumns),
        (b'a,"b\n1,2\n', ReaderLimits(), NoHeader),
    ],
)
def test_files_that_cannot_be_read(write, data, limits, error):
    with pytest.raises(error):
        open_reader(write(data), name="c.csv", limits=limits)


def test_gives_up_on_endless_open_quotes(write):
    path = write("a,b\n" + ('x,"y\n' + "z" * 60 + "\n" + "z" * 60 + "\n") * 1_100)
    with pytest.raises(BrokenFile):
        list(open_reader(path, name="c.csv", limits=ReaderLimits(max_row_bytes=100)).rows())
