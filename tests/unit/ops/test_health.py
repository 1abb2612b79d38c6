"""Checks run side by side, say why, and never wait for ever."""

import asyncio

import pytest

from carillon.kernel.errors import Unavailable
from carillon.ops.health import Checks


async def fine() -> str:
    return "all well"


async def hanging() -> None:
    await asyncio.Event().wait()


async def down() -> None:
    raise Unavailable("the queue is away")


async def test_findings() -> None:
    checks = Checks(timeout=0.05)
    checks.register("fine", fine)
    checks.register("hanging", hanging)
    checks.register("down", down)
    found = {finding.name: (finding.ready, finding.reason) for finding in await checks.run()}
    assert found == {
        "fine": (True, "all well"),
        "hanging": (False, "no answer in 0.05 s"),
        "down": (False, "unavailable: the queue is away"),
    }


async def test_going_down_is_not_ready() -> None:
    checks = Checks(draining=True)
    assert [finding.ready for finding in await checks.run()] == [False]


def test_names_are_taken_once() -> None:
    checks = Checks()
    checks.register("fine", fine)
    with pytest.raises(ValueError, match="twice"):
        checks.register("fine", fine)
