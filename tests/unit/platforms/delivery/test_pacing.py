"""Pacing never exceeds a limit and never wastes a slot."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from carillon.platforms.connectors.port import Limits, Rate
from carillon.platforms.delivery.pacing import Bucket, Pacer, per_second

ACCOUNT, TENANT = uuid4(), uuid4()


@given(
    count=st.integers(1, 30),
    seconds=st.sampled_from([1.0, 6.0, 60.0]),
    burst=st.integers(1, 45),
    arrivals=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_rate(count: int, seconds: float, burst: int, arrivals: list[float]) -> None:
    bucket = Bucket(Rate(count, seconds, burst))
    now, taken = 0.0, []
    for pause in arrivals:
        now += pause
        if bucket.wait(now) == 0:
            bucket.take(now)
            taken.append(now)
    interval = seconds / count
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = burst + (taken[last] - taken[first]) / interval
            assert last - first + 1 <= allowed + 1e-6


def test_a_waiting_sender_gets_its_slot_when_told() -> None:
    bucket = Bucket(Rate(1, 6.0, 45))
    for _ in range(45):
        assert bucket.wait(0.0) == 0
        bucket.take(0.0)
    assert bucket.wait(0.0) == 6.0
    assert bucket.wait(6.0) == 0


@given(st.floats(0.1, 50), st.integers(1, 20), st.lists(st.tuples(st.floats(0, 3), st.integers(0, 25)), max_size=20))
def test_the_room_is_what_could_be_taken_one_by_one(rate: float, burst: int, moments: list[tuple[float, int]]) -> None:
    many, single = Bucket(Rate(rate, 1.0, burst)), Bucket(Rate(rate, 1.0, burst))
    now = 0.0
    for pause, wanted in moments:
        now += pause
        room = many.room(now)
        assert (room > 0) == (many.wait(now) < 1e-5 / rate)
        many.take(now, min(wanted, room))
        for _ in range(min(wanted, room)):
            assert single.wait(now) < 1e-5 / rate
            single.take(now)


def test_one_busy_chat_does_not_hold_the_account_back() -> None:
    pacer, limits = Pacer(), Limits(account=Rate(30, 1.0, 30), peer=Rate(1, 1.0))
    pacer.take_peer(ACCOUNT, "anna", limits, 0.0)
    assert pacer.peer_wait(ACCOUNT, "anna", limits, 0.0) == 1.0
    assert pacer.peer_wait(ACCOUNT, "boris", limits, 0.0) == 0


def test_accounts_of_one_portfolio_share_its_limit() -> None:
    pacer, limits, other = Pacer(), Limits(account=Rate(30, 1.0, 30), portfolio=Rate(1, 1.0)), uuid4()
    pacer.take(TENANT, ACCOUNT, "shop", limits, 0.0)
    assert pacer.room(other, "shop", limits, 0.0) == (0, 1.0)
    assert pacer.room(other, "bank", limits, 0.0) == (1, 0)


def test_a_flood_pauses_the_account_or_only_the_chat() -> None:
    pacer, limits = Pacer(), Limits(account=Rate(30, 1.0, 30))
    pacer.pause(ACCOUNT, 60.0, 0.0, peer="anna")
    assert pacer.peer_wait(ACCOUNT, "anna", limits, 10.0) == 50.0
    assert pacer.peer_wait(ACCOUNT, "boris", limits, 10.0) == 0
    assert pacer.room(ACCOUNT, None, limits, 10.0) == (30, 0)
    pacer.pause(ACCOUNT, 30.0, 10.0)
    assert pacer.room(ACCOUNT, None, limits, 10.0) == (0, 30.0)
    pacer.pause(ACCOUNT, 5.0, 10.0)
    assert pacer.account_wait(ACCOUNT, limits, 10.0) == 30.0, "a shorter pause does not shorten a longer one"


def test_the_accounts_of_a_tenant_share_its_limit() -> None:
    pacer, limits, other = Pacer(per_second(2)), Limits(account=Rate(30, 1.0, 30)), uuid4()
    assert pacer.tenant_room(TENANT, 0.0) == (2, 0)
    pacer.take(TENANT, ACCOUNT, None, limits, 0.0, 2)
    assert pacer.tenant_room(TENANT, 0.0) == (0, 0.5)
    assert pacer.tenant_room(other, 0.0) == (2, 0)
    assert pacer.tenant_room(TENANT, 0.5) == (1, 0)


def test_without_a_limit_a_tenant_never_waits() -> None:
    pacer, limits = Pacer(per_second(0)), Limits(account=Rate(30, 1.0, 30))
    pacer.take(TENANT, ACCOUNT, None, limits, 0.0, 1_000)
    room, wait = pacer.tenant_room(TENANT, 0.0)
    assert room >= 500
    assert wait == 0
