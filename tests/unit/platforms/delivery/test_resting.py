"""Accounts that fail or hang keep no others waiting."""

import asyncio
from datetime import UTC, datetime

import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.delivery.resting import Resting, Turnstile


class Still:
    """A clock that stands where it is put."""

    at = 100.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boottime(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


def test_the_pause_grows_to_a_minute_and_ends_with_success() -> None:
    clock, account = Still(), uuid7()
    resting = Resting(clock)
    for pause in (1.0, 5.0, 15.0, 60.0, 60.0):
        resting.failed(account)
        clock.at += pause - 0.1
        assert resting.now() == [account]
        clock.at += 0.1
        assert resting.now() == []
    resting.opened(account)
    resting.failed(account)
    clock.at += 1.0
    assert resting.now() == []


async def test_those_that_hang_give_their_turn_up_and_the_others_wait_for_theirs() -> None:
    gate, inside, hanging = Turnstile(2, patient_for=0.01), 0, asyncio.Event()

    async def hang() -> None:
        async with gate.turn():
            await hanging.wait()

    slow = [asyncio.create_task(hang()) for _ in range(6)]
    await asyncio.sleep(0)
    assert gate._places.locked()
    async with asyncio.timeout(5), gate.turn():
        inside += 1
    hanging.set()
    await asyncio.gather(*slow)
    assert inside == 1


async def test_a_turn_is_given_up_once() -> None:
    """Else each that hangs would make one place more."""
    gate = Turnstile(1, patient_for=0.0)
    for _ in range(5):
        async with gate.turn():
            await asyncio.sleep(0.005)
    assert gate._places._value == 1
    gate = Turnstile(1, patient_for=60.0)
    async with gate.turn():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), gate.turn():
                raise AssertionError
    assert gate._places._value == 1
