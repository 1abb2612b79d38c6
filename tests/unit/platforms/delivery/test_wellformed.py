"""Whatever a connector hands in, what comes out fits the ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.platforms.connectors.port import (
    AccountState,
    AccountUpdate,
    Blocked,
    InboundMessage,
    Status,
    StatusUpdate,
)
from carillon.platforms.delivery import distrust, metrics, wellformed

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.text(st.characters(), max_size=50),
    st.text(max_size=20).map(lambda text: text * 3_000),
    st.just("\ud800half"),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.binary(max_size=5),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.just(uuid4()),
    st.lists(st.integers(), max_size=2),
    st.sampled_from([*Status, *AccountState]),
)


@given(st.data())
def test_updates_of_any_kind_and_fields(data: st.DataObject) -> None:
    kind, count = data.draw(
        st.sampled_from([(InboundMessage, 8), (StatusUpdate, 7), (AccountUpdate, 4), (Blocked, 2), (object, 0)])
    )
    one = kind(*[data.draw(ANYTHING) for _ in range(count)])
    for found in distrust.updates([one], NOW):
        texts = [value for name in type(found).__slots__ if isinstance(value := getattr(found, name), str)]
        assert all("\0" not in text and len(text) <= wellformed.LONGEST_TEXT for text in texts)
        for text in texts:
            text.encode("utf-8")
        assert NOW - timedelta(days=365 * 40) < found.at <= NOW + timedelta(days=1)
        assert found.at.tzinfo is not None


@given(ANYTHING)
def test_a_wait_always_ends(value: Any) -> None:
    assert 0 <= wellformed.seconds(value, 60.0) <= wellformed.LONGEST_WAIT


def test_a_long_id_is_shortened_the_same_way_each_time_and_stays_its_own() -> None:
    first, second = "x" * 10_000 + "a", "x" * 10_000 + "b"
    assert wellformed.identifier(first) == wellformed.identifier(first)
    assert wellformed.identifier(first) != wellformed.identifier(second)
    assert len(wellformed.identifier(first) or "") == wellformed.LONGEST_ID


def test_updates_come_in_slices_and_only_from_sequences() -> None:
    assert [len(part) for part in distrust.slices(list(range(450)))] == [200, 200, 50]
    assert list(distrust.slices("text")) == list(distrust.slices(None)) == list(distrust.slices({1: 2})) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("FLOOD_WAIT_37", "FLOOD_WAIT"),
        ("FLOOD_WAIT_5", "FLOOD_WAIT"),
        ("131026", "131026"),
        ("", "none"),
        ("no such\n{thing}", "nosuchthing"),
        ("X" * 500, "X" * 40),
    ],
)
def test_a_platforms_code_without_what_varies(code: str, expected: str) -> None:
    assert metrics.code_class(code) == expected


def test_codes_are_of_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_codes", set())
    seen = {metrics.code_class(f"{number}") for number in range(10_000)}
    assert len(seen) == metrics._MOST_CODES + 1
    assert "other" in seen
