"""The export of Telegram Desktop: people out of any amount of messages."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.audience.contacts.readers import FileKind, ReaderLimits, RowFault, SourceRow, open_reader
from carillon.audience.contacts.readers.errors import BrokenFile, TruncatedFile, UnknownFormat
from carillon.audience.contacts.readers.json_cursor import JsonCursor

MESSAGES = [{"id": 1, "text": ['a]}"', {"type": "link", "text": '{[\\"'}], "date": "2026-01-01T00:00:00"}] * 3
EXPORT = {
    "about": "Here is the data you requested.",
    "personal_information": {"user_id": 1, "phone_number": "+1"},
    "contacts": {
        "about": "List of contacts",
        "list": [
            {
                "user_id": 11,
                "first_name": "Ann",
                "last_name": "Lee",
                "phone_number": "+44 7700 900123",
                "date": "2026-01-02",
            },
            {"user_id": 0, "first_name": "王", "last_name": "", "phone_number": "0086 138 0013 8000", "date": ""},
            {"first_name": "Nobody", "last_name": "", "phone_number": ""},
        ],
        "more": [1, {"a": 2}],
    },
    "chats": {
        "about": "",
        "list": [
            {"name": "Bob", "type": "personal_chat", "id": 4312345678, "messages": MESSAGES},
            {"name": "Group", "type": "private_group", "id": 77, "messages": MESSAGES},
            {"type": "saved_messages", "id": 1, "messages": []},
            {"messages": MESSAGES, "name": None, "type": "personal_chat", "id": 99},
        ],
    },
    "left_chats": {"list": [{"name": "Old", "type": "personal_chat", "id": 5}]},
}


@pytest.fixture
def export(tmp_path: Path):
    def export(content: object, indent: int | None = 1) -> Path:
        path = tmp_path / "result.json"
        text = content if isinstance(content, str) else json.dumps(content, indent=indent, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")
        return path

    return export


def test_people_of_both_lists(export):
    reader = open_reader(export(EXPORT), name="result.json")
    rows = list(reader.rows())
    assert reader.kind is FileKind.TELEGRAM
    assert [row.values for row in rows if isinstance(row, SourceRow)] == [
        ["11", "Ann Lee", "Ann", "Lee", "+44 7700 900123", "contacts", "2026-01-02"],
        ["", "王", "王", "", "0086 138 0013 8000", "contacts", ""],
        ["4312345678", "Bob", "", "", "", "chats", ""],
        ["99", "", "", "", "", "chats", ""],
    ]
    assert [(row.number, row.code) for row in rows if isinstance(row, RowFault)] == [(3, "no_address")]


@pytest.mark.parametrize("indent", [None, 1])
def test_resumes_after_each_person(export, indent):
    reader = open_reader(export(EXPORT, indent), name="result.json")
    whole = list(reader.rows())
    for batch in reader.batches(size=1):
        assert list(reader.rows(from_position=batch.next)) == whole[batch.next.number :]


def test_a_file_cut_anywhere_says_so(export, tmp_path):
    data = json.dumps(EXPORT).encode()
    path = tmp_path / "half.json"
    for length in range(12, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises((TruncatedFile, BrokenFile)) as caught:
            list(open_reader(path, name="r").rows())
        assert caught.value.place


@pytest.mark.parametrize("text", ['{"name": "x"}', "{}", '{"a', "{1}"])
def test_other_json_is_refused(export, text):
    with pytest.raises((UnknownFormat, BrokenFile, TruncatedFile)):
        open_reader(export(text), name="r")


def test_a_string_longer_than_allowed(export):
    content = {"contacts": {"list": [{"phone_number": "1" * 2_000_000}]}}
    with pytest.raises(BrokenFile):
        list(open_reader(export(content), name="r", limits=ReaderLimits(max_row_bytes=1000)).rows())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(json_values, st.booleans(), st.sampled_from([3, 7, 64]))
def test_skips_exactly_one_value(value, pretty, block):
    text = json.dumps([value, "end"], indent=1 if pretty else None, ensure_ascii=pretty)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("carillon.audience.contacts.readers.json_cursor._BLOCK", block)
        path = Path(folder, "x.json")
        path.write_bytes(text.encode("utf-8", "replace"))
        with JsonCursor(path, longest=10_000) as cursor:
            cursor.enter(b"[")
            cursor.skip()
            assert cursor.scalar() == "end"
            assert cursor.leaves(b"]")
            assert cursor.peek() == b""
