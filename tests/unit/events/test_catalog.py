"""Events keep their values through the store, and old ones stay readable."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Literal
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.events.catalog.base import BrokenEvent, Event, UnknownEvent, event_types, load, name_of
from carillon.kernel.ids import uuid7


class Mood(StrEnum):
    GLAD = "glad"
    SAD = "sad"


@dataclass(frozen=True, slots=True)
class Stop:
    place: str
    at: datetime
    price: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Travelled(Event):
    type: ClassVar[str] = "catalog_test.travelled"
    who: UUID
    when: datetime
    mood: Mood
    stops: tuple[Stop, ...]
    pair: tuple[int, str] = (0, "")
    birthday: date | None = None
    took: timedelta = timedelta(0)
    costs: dict[str, Decimal] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    speed: float = 0.0
    way: Literal["road", "rail"] = "road"
    anything: dict[str, Any] = field(default_factory=dict)

    @property
    def subject_id(self) -> UUID:
        return self.who


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.datetimes(timezones=st.just(UTC))
EVENTS = st.builds(
    Travelled,
    who=st.uuids(),
    when=TIMES,
    mood=st.sampled_from(Mood),
    stops=st.lists(st.builds(Stop, place=TEXT, at=TIMES, price=st.decimals(allow_nan=False, allow_infinity=False))).map(
        tuple
    ),
    pair=st.tuples(st.integers(-(2**53), 2**53), TEXT),
    birthday=st.none() | st.dates(),
    took=st.integers(0, 10**9).map(lambda seconds: timedelta(seconds=seconds)),
    costs=st.dictionaries(TEXT, st.decimals(allow_nan=False, allow_infinity=False)),
    tags=st.lists(TEXT),
    speed=st.floats(allow_nan=False, allow_infinity=False),
    way=st.sampled_from(["road", "rail"]),
)


@given(EVENTS)
def test_every_value_comes_back(event: Travelled) -> None:
    stored = orjson.loads(orjson.dumps(event.dump()))
    assert load(Travelled.type, stored) == event


def small(**changes: Any) -> dict[str, Any]:
    event = Travelled(who=uuid7(), when=datetime.now(UTC), mood=Mood.GLAD, stops=())
    return {**event.dump(), **changes}


def test_extra_fields_are_passed_over_and_missing_ones_take_their_defaults() -> None:
    stored = small(removed_later=1)
    del stored["tags"], stored["took"]
    event = load(Travelled.type, stored)
    assert isinstance(event, Travelled)
    assert (event.tags, event.took) == ([], timedelta(0))


@pytest.mark.parametrize(
    "changes",
    [
        {"who": 1},
        {"pair": [True, "x"]},
        {"costs": []},
        {"took": "x"},
        {"who": "x"},
        {"mood": "angry"},
        {"stops": [{"place": "x"}]},
        {"pair": [1]},
        {"way": "air"},
        {"costs": {"a": "x"}},
        {"speed": "fast"},
        {"stops": "x"},
        {"tags": [1]},
        {"birthday": 3},
    ],
)
def test_a_payload_that_does_not_fit_is_broken(changes: dict[str, Any]) -> None:
    with pytest.raises(BrokenEvent, match=r"catalog_test\.travelled"):
        load(Travelled.type, small(**changes))


def test_a_missing_field_without_default_is_broken() -> None:
    stored = small()
    del stored["who"]
    with pytest.raises(BrokenEvent, match="who"):
        load(Travelled.type, stored)


def test_an_unknown_type_is_kept_as_it_is() -> None:
    event = load("catalog_test.never", {"a": 1})
    assert isinstance(event, UnknownEvent)
    assert (name_of(event), event.dump(), event.subject_id) == ("catalog_test.never", {"a": 1}, None)
    assert "catalog_test.never" not in event_types()


def test_two_types_cannot_share_a_name() -> None:
    with pytest.raises(TypeError, match="declared twice"):

        @dataclass(frozen=True, slots=True, kw_only=True)
        class Another(Event):
            type: ClassVar[str] = "catalog_test.travelled"


def test_a_value_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot hold"):
        Travelled(who=uuid7(), when=datetime.now(UTC), mood=Mood.SAD, stops=(), anything={"a": object()}).dump()
