"""Quiet hours by the recipient's own wall clock."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audience.consents.contracts import Policy
from carillon.audience.consents.quiet_hours import quiet_until

DEFAULT = Policy()
OFF = Policy(quiet_start=time(8), quiet_end=time(8))
MINUTE = timedelta(minutes=1)

# Half and quarter hours, half-hour clock changes, the far ends of the world, clocks that never change.
ZONES = [
    "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham",
    "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/St_Johns", "Africa/Casablanca", "UTC", "Asia/Shanghai",
]  # fmt: skip


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(zone: str, text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def is_quiet(policy: Policy, zone: str, at: datetime) -> bool:
    clock = at.astimezone(ZoneInfo(zone)).time()
    start, end = policy.quiet_start, policy.quiet_end
    if start == end:
        return False
    return start <= clock < end if start < end else clock >= start or clock < end


def test_by_day_there_is_nothing_to_wait_for():
    assert quiet_until(DEFAULT, ("Europe/Berlin",), local("Europe/Berlin", "2026-11-23T12:00")) is None


@pytest.mark.parametrize("clock", ["21:00", "23:59", "00:00", "07:59:59"])
def test_by_night_it_is_eight_in_the_morning(clock):
    day = "2026-11-23" if clock > "12" else "2026-11-24"
    at = local("Asia/Kathmandu", f"{day}T{clock}")
    assert quiet_until(DEFAULT, ("Asia/Kathmandu",), at) == local("Asia/Kathmandu", "2026-11-24T08:00")


def test_the_edges_belong_to_the_night_and_the_day():
    assert quiet_until(DEFAULT, ("UTC",), utc("2026-11-23T20:59:59")) is None
    assert quiet_until(DEFAULT, ("UTC",), utc("2026-11-23T08:00")) is None


def test_equal_times_switch_it_off():
    assert quiet_until(OFF, ("UTC",), utc("2026-11-23T03:00")) is None


def test_a_night_within_one_day():
    siesta = Policy(quiet_start=time(13), quiet_end=time(16, 30))
    assert quiet_until(siesta, ("Europe/Madrid",), local("Europe/Madrid", "2026-07-01T14:00")) == local(
        "Europe/Madrid", "2026-07-01T16:30"
    )


def test_without_a_zone_the_policys_own_is_meant():
    policy = Policy(time_zone="Asia/Shanghai")
    at = local("Asia/Shanghai", "2026-11-23T23:00")
    for zones in ((), ("Mars/Olympus",), ("../../etc/passwd",)):
        assert quiet_until(policy, zones, at) == local("Asia/Shanghai", "2026-11-24T08:00")


def test_an_unknown_candidate_does_not_hide_a_known_one():
    at = local("Asia/Tokyo", "2026-11-23T23:00")
    assert quiet_until(DEFAULT, ("Mars/Olympus", "Asia/Tokyo"), at) == local("Asia/Tokyo", "2026-11-24T08:00")


def test_all_candidates_must_be_awake():
    zones = ("America/New_York", "America/Los_Angeles")
    # Nine in New York is six in Los Angeles.
    at = local("America/New_York", "2026-11-23T09:00")
    assert quiet_until(DEFAULT, zones, at) == local("America/Los_Angeles", "2026-11-23T08:00")


def test_candidates_without_a_common_day_get_the_least_bad_moment():
    narrow = Policy(quiet_start=time(12), quiet_end=time(10))
    zones = ("Europe/Lisbon", "Europe/Berlin", "Asia/Kamchatka", "Asia/Anadyr")
    found = quiet_until(narrow, zones, utc("2026-11-23T13:00"))
    # 22:00 to 24:00 UTC is ten to twelve for the two in the far east; Lisbon and Berlin share 10:00 to 11:00 UTC.
    assert found == utc("2026-11-23T22:00")
    assert quiet_until(narrow, zones, found) is None


def test_the_end_of_the_night_is_skipped_by_the_clock():
    policy = Policy(quiet_start=time(22), quiet_end=time(2, 30))
    at = local("Europe/Berlin", "2026-03-29T01:00")
    assert quiet_until(policy, ("Europe/Berlin",), at) == local("Europe/Berlin", "2026-03-29T03:00")


def test_a_night_that_the_clock_brings_twice():
    policy = Policy(quiet_start=time(22), quiet_end=time(2, 30))
    zone = ("Europe/Berlin",)
    first = local("Europe/Berlin", "2026-10-25T02:30", fold=0)
    second = local("Europe/Berlin", "2026-10-25T02:30", fold=1)
    assert quiet_until(policy, zone, first - MINUTE) == first
    assert quiet_until(policy, zone, first) is None
    assert quiet_until(policy, zone, second - MINUTE) == second


def test_a_clock_set_back_out_of_the_night():
    policy = Policy(quiet_start=time(2, 30), quiet_end=time(8))
    at = local("Europe/Berlin", "2026-10-25T02:40", fold=0)
    assert quiet_until(policy, ("Europe/Berlin",), at) == local("Europe/Berlin", "2026-10-25T02:00", fold=1)


TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59]))
MOMENTS = st.integers(0, 3 * 365 * 86_400).map(lambda seconds: utc("2025-01-01T00:00") + timedelta(seconds=seconds))
CHANGES = st.sampled_from(
    [utc("2026-03-29T01:00"), utc("2026-10-25T01:00"), utc("2026-04-04T15:00"), utc("2026-10-03T15:30")]
).flatmap(lambda change: st.integers(-2000, 2000).map(lambda minutes: change + minutes * MINUTE))


@given(start=TIMES, end=TIMES, zone=st.sampled_from(ZONES), at=MOMENTS | CHANGES)
def test_one_zone_waits_for_the_first_moment_that_is_not_quiet(start, end, zone, at):
    policy = Policy(quiet_start=start, quiet_end=end)
    found = quiet_until(policy, (zone,), at)
    if found is None:
        assert not is_quiet(policy, zone, at)
        return
    assert not is_quiet(policy, zone, found)
    moment = at
    while moment < found:
        assert is_quiet(policy, zone, moment)
        moment = (moment + MINUTE).replace(second=0, microsecond=0)


@given(zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=4), at=MOMENTS | CHANGES)
def test_candidates_wait_for_the_first_moment_that_suits_them_all(zones, at):
    found = quiet_until(DEFAULT, tuple(zones), at)
    step, moment, first = timedelta(minutes=15), at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0), None
    for _ in range(4 * 26):
        if moment >= at and not any(is_quiet(DEFAULT, zone, moment) for zone in zones):
            first = moment
            break
        moment += step
    if found is None or first is None:
        assert first is None or not any(is_quiet(DEFAULT, zone, at) for zone in zones)
    else:
        assert first - step < found <= first


@given(zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=5), start=TIMES, end=TIMES, at=MOMENTS)
def test_whoever_waited_as_told_need_not_wait_again(zones, start, end, at):
    policy = Policy(quiet_start=start, quiet_end=end)
    for _ in range(3):
        found = quiet_until(policy, tuple(zones), at)
        if found is None:
            break
        assert at < found <= at + timedelta(days=3)
        at = found
    assert quiet_until(policy, tuple(zones), at) is None
