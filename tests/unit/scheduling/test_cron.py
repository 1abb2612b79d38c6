"""Cron in time zones: daylight saving, and what is refused."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.scheduling.cron import fault, is_zone, next_time

BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "UTC", "Asia/Shanghai")


def walls(expression: str, zone: str, start: datetime, count: int) -> list[str]:
    found, moment = [], start
    for _ in range(count):
        moment = next_time(expression, zone, moment)
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


def test_daylight_saving_keeps_the_wall_clock() -> None:
    start = datetime(2027, 3, 27, 0, tzinfo=UTC)
    assert walls("0 9 * * *", BERLIN, start, 3) == ["27 09:00+0100", "28 09:00+0200", "29 09:00+0200"]
    start = datetime(2027, 10, 30, 0, tzinfo=UTC)
    assert walls("0 9 * * *", BERLIN, start, 3) == ["30 09:00+0200", "31 09:00+0100", "01 09:00+0100"]


def test_a_time_the_clock_leaves_out_comes_later_that_day() -> None:
    start = datetime(2027, 3, 27, 12, tzinfo=UTC)
    assert walls("30 2 * * *", BERLIN, start, 2) == ["28 03:30+0200", "29 02:30+0200"]


def test_a_time_the_clock_shows_twice_comes_once() -> None:
    start = datetime(2027, 10, 30, 12, tzinfo=UTC)
    assert walls("30 2 * * *", BERLIN, start, 2) == ["31 02:30+0200", "01 02:30+0100"]


def test_every_half_hour_goes_on_through_the_repeated_hour_and_over_the_gap() -> None:
    autumn = datetime(2027, 10, 30, 23, 45, tzinfo=UTC)
    assert walls("*/30 * * * *", BERLIN, autumn, 5) == [
        "31 02:00+0200", "31 02:30+0200", "31 02:00+0100", "31 02:30+0100", "31 03:00+0100",
    ]  # fmt: skip
    spring = datetime(2027, 3, 28, 0, 15, tzinfo=UTC)
    assert walls("*/30 * * * *", BERLIN, spring, 3) == ["28 01:30+0100", "28 03:00+0200", "28 03:30+0200"]


@given(
    st.sampled_from(ZONES),
    st.sampled_from(["*/15 * * * *", "30 2 * * *", "0 9 * * mon", "15 1-3 * * *", "0 */6 * * *"]),
    st.integers(0, 2 * 366 * 24 * 12),
)
def test_it_always_moves_on_and_a_tick_is_its_own_successor_of_the_moment_before(
    zone: str, expression: str, steps: int
) -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=5 * steps)
    found = next_time(expression, zone, after)
    assert found > after
    assert next_time(expression, zone, found - timedelta(seconds=1)) == found
    if expression.startswith("*/15"):
        assert found - after <= timedelta(minutes=15)


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "@daily", "61 * * * *", "0 0 30 2 *", "R R * * *", "H * * * *", "a b c d e",
     "* * * * *\n;", "1,," + "2," * 60, "0 9 * * foo"],
)  # fmt: skip
def test_refused(expression: str) -> None:
    assert fault(expression) is not None


@pytest.mark.parametrize(
    "expression", ["0 9 * * 1", "*/5 8-18 * * mon-fri", "0 0 29 2 *", "0 9 1,15 jan *", "0 9 * * 1#2"]
)
def test_accepted(expression: str) -> None:
    assert fault(expression) is None


def test_zones() -> None:
    assert is_zone("Asia/Shanghai")
    assert not is_zone("Mars/Olympus")
    assert not is_zone("../etc/passwd")
