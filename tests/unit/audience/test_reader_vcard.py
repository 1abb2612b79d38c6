"""vCard 2.1, 3.0 and 4.0 as telephones really write them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.audience.contacts.readers import FileKind, ReaderLimits, RowFault, SourceRow, open_reader


@pytest.fixture
def cards(tmp_path: Path):
    def cards(text: str | bytes, encoding: str = "utf-8", **options) -> list[dict[str, str] | str]:
        path = tmp_path / "people.vcf"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        reader = open_reader(path, name="people.vcf", **options)
        assert reader.kind is FileKind.VCARD
        found: list[dict[str, str] | str] = []
        for row in reader.rows():
            if isinstance(row, RowFault):
                found.append(row.code)
            else:
                found.append({key: value for key, value in zip(reader.columns, row.values, strict=True) if value})
        return found

    return cards


def card(*lines: str, version: str = "3.0") -> str:
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""])


def test_version_3_with_groups_types_and_folding(cards):
    text = card(
        "FN:Wang\\, Xiao",
        " ming",
        "N:Wang;Xiaoming;;Mr;",
        "item1.TEL;TYPE=HOME,VOICE:+86 10 1234 5678",
        "TEL;TYPE=CELL:+86 138 0013 8000",
        "TEL;TYPE=WORK;PREF=1:+8613900000000",
        "TEL:4",
        "EMAIL;TYPE=INTERNET:a@example.com",
        "EMAIL:b@example.com",
        "CATEGORIES:vip,new\\,er",
        "ORG:Bells\\; Co;Tower",
        "BDAY:1990-01-02",
        "NOTE:line one\\nline two",
        "TZ:Asia/Shanghai",
        "X-UNKNOWN:1",
    )
    assert cards(text) == [
        {
            "name": "Wang, Xiaoming",
            "first_name": "Xiaoming",
            "last_name": "Wang",
            "phone": "+8613900000000",
            "phone_2": "+86 138 0013 8000",
            "phone_3": "+86 10 1234 5678",
            "more_phones": "4",
            "email": "a@example.com",
            "email_2": "b@example.com",
            "tags": "vip;new,er",
            "company": "Bells; Co, Tower",
            "birthday": "1990-01-02",
            "note": "line one\nline two",
            "time_zone": "Asia/Shanghai",
        }
    ]


def test_version_4_addresses_are_uris(cards):
    text = card(
        "FN:A",
        'TEL;VALUE=uri;PREF=1;TYPE="voice,home":tel:+1-555-555-5555;ext=5',
        "LANG;PREF=2:fr",
        "LANG;PREF=1:en",
        version="4.0",
    )
    assert cards(text) == [{"name": "A", "phone": "+1-555-555-5555", "language": "en"}]


def test_version_2_1_quoted_printable_with_soft_breaks(cards):
    text = card("FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=E7=8E=8B=\r\n=E5=B0=8F", "TEL;CELL;PREF:1", version="2.1")
    assert cards(text) == [{"name": "王小", "phone": "1"}]


def test_charset_of_one_property(cards):
    raw = b"BEGIN:VCARD\r\nFN;CHARSET=GB18030:" + "王小明".encode("gb18030") + b"\r\nTEL:1\r\nEND:VCARD\r\n"
    assert cards(raw) == [{"name": "王小明", "phone": "1"}]


def test_a_fold_may_split_a_character(cards):
    raw = "王".encode()
    assert cards(b"BEGIN:VCARD\r\nFN:" + raw[:2] + b"\r\n " + raw[2:] + b"\r\nEND:VCARD") == [{"name": "王"}]


def test_utf16_file(cards):
    assert cards("\ufeff" + card("FN:王", "TEL:1"), "utf-16-le") == [{"name": "王", "phone": "1"}]


def test_pictures_are_not_kept(cards):
    picture = "PHOTO;ENCODING=b;TYPE=JPEG:" + "A" * 3_000_000
    folded = "PHOTO;BASE64:AAAA\r\n" + " BBBB\r\n" * 200_000
    text = card("FN:A", picture, "TEL:1") + card("FN:B", folded, "TEL:2")
    assert cards(text) == [{"name": "A", "phone": "1"}, {"name": "B", "phone": "2"}]


def test_faults_stay_in_their_card(cards):
    text = (
        card("FN:ok").encode()
        + b"stray line\r\nBEGIN:VCARD\r\nFN:cut\r\n"
        + b"BEGIN:VCARD\r\nFN;CHARSET=UTF-8:\xff\r\nEND:VCARD\r\n"
        + card("NOTE:" + "a" * 3000).encode()
        + card("FN:n\0l").encode()
        + b"BEGIN:VCARD\r\nFN:last"
    )
    limits = ReaderLimits(max_row_bytes=2000)
    codes = ["outside_card", "truncated_card", "undecodable", "row_too_long", "nul", "truncated_card"]
    assert cards(text, limits=limits) == [{"name": "ok"}, *codes]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text("aé王,;\\\n", min_size=1, max_size=40), st.integers(1, 9)), max_size=12),
    st.integers(1, 5),
)
def test_resumes_at_any_card(people, size):
    lines = []
    for name, width in people:
        value = name.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")
        raw = b"FN:" + value.encode()
        folded = b"\r\n ".join(raw[at : at + width] for at in range(0, len(raw), width))
        lines.append(b"BEGIN:VCARD\r\n" + folded + b"\r\nEND:VCARD\r\n")
    with TemporaryDirectory() as folder:
        path = Path(folder, "p.vcf")
        path.write_bytes(b"".join(lines) or card("FN:only").encode())
        reader = open_reader(path, name="p.vcf", encoding="utf-8")
        whole = [row for row in reader.rows() if isinstance(row, SourceRow)]
        if people:
            assert [row.values[0] for row in whole] == [name.strip() for name, _ in people]
        for batch in reader.batches(size=size):
            assert list(reader.rows(from_position=batch.next)) == whole[batch.next.number :]
