"""The rate limiter, against a clock that we move."""

import pytest

from carillon.gateway.limits import Limiter, Rate
from carillon.kernel.errors import Throttled


class Hands:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


def test_the_burst_is_allowed_and_then_one_per_interval(clock: Hands) -> None:
    limiter = Limiter(Rate(limit=6, period=60, burst=3), clock)
    assert [limiter.spend("a").remaining for _ in range(3)] == [2, 1, 0]
    with pytest.raises(Throttled) as refused:
        limiter.spend("a")
    assert refused.value.retry_after == pytest.approx(10)
    clock.now += 9.9
    assert limiter.try_spend("a").retry_after == pytest.approx(0.1)
    clock.now += 0.1
    limiter.spend("a")
    with pytest.raises(Throttled):
        limiter.spend("a")


def test_keys_do_not_share(clock: Hands) -> None:
    limiter = Limiter(Rate(limit=1), clock)
    limiter.spend("a")
    limiter.spend("b")
    assert limiter.try_spend("a").retry_after == pytest.approx(60)


def test_a_refusal_costs_nothing(clock: Hands) -> None:
    limiter = Limiter(Rate(limit=2, period=60), clock)
    limiter.spend("a", 2)
    for _ in range(50):
        limiter.try_spend("a")
    clock.now += 30
    limiter.spend("a")


def test_the_long_run_rate_is_exact(clock: Hands) -> None:
    limiter = Limiter(Rate(limit=100, period=10, burst=5), clock)
    passed = 0
    for _ in range(10_000):
        passed += not limiter.try_spend("a").retry_after
        clock.now += 0.01
    assert 1000 <= passed <= 1005


def test_zero_means_no_limit(clock: Hands) -> None:
    limiter = Limiter(Rate(limit=0), clock)
    assert all(not limiter.try_spend("a").retry_after for _ in range(1000))


def test_success_gives_everything_back(clock: Hands) -> None:
    limiter = Limiter(Rate(limit=1), clock)
    limiter.spend("a")
    limiter.forget("a")
    limiter.spend("a")


def test_keys_at_rest_are_forgotten(clock: Hands) -> None:
    limiter = Limiter(Rate(limit=1, period=60), clock)
    for number in range(1000):
        limiter.spend(str(number))
    clock.now += 61
    limiter.spend("last")
    assert set(limiter._full_at) == {"last"}


def test_headers(clock: Hands) -> None:
    limiter = Limiter(Rate(limit=6, period=60), clock)
    assert limiter.spend("a").headers() == {
        "RateLimit-Limit": "6",
        "RateLimit-Remaining": "5",
        "RateLimit-Reset": "10",
    }
