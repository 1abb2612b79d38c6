"""The window of people an account may write to in 24 hours."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from carillon.platforms.delivery.daily import WINDOW, Admission, DailyWindow

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ACCOUNT = uuid4()
PEOPLE = [uuid4() for _ in range(12)]


@given(
    limit=st.integers(0, 5),
    steps=st.lists(st.tuples(st.integers(0, 600), st.sampled_from(PEOPLE)), min_size=1, max_size=80),
)
def test_never_more_people_than_the_limit_and_never_fewer_than_it_allows(
    limit: int, steps: list[tuple[int, UUID]]
) -> None:
    window, now, sent = DailyWindow(limit, loaded=True), NOW, list[tuple[datetime, UUID]]()
    for minutes, person in steps:
        now += timedelta(minutes=minutes)
        admission = Admission({ACCOUNT: window}, now)
        admission.prepare([ACCOUNT])
        recent = {each for at, each in sent if at > now - WINDOW}
        wait = admission.admit(ACCOUNT, person)
        assert (wait is None) == (person in recent or len(recent) < limit)
        if wait is None:
            sent.append((now, person))
        else:
            assert now < wait <= now + WINDOW


def test_those_who_wait_wait_for_a_place_each() -> None:
    window = DailyWindow(2, loaded=True)
    window.add(PEOPLE[0], NOW - timedelta(hours=5))
    window.add(PEOPLE[1], NOW - timedelta(hours=3))
    admission = Admission({ACCOUNT: window}, NOW)
    waits = [admission.admit(ACCOUNT, person) for person in (PEOPLE[2], PEOPLE[3], PEOPLE[2], PEOPLE[4])]
    first, second = NOW + timedelta(hours=19), NOW + timedelta(hours=21)
    assert waits == [first, second, first, second]


def test_an_account_without_a_limit_lets_everyone_through() -> None:
    assert Admission({}, NOW).admit(ACCOUNT, PEOPLE[0]) is None
