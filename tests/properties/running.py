"""How long machines run, and how to see that they notice a fault.

`CARILLON_PROPERTY_EXAMPLES=2000` runs so many examples of each machine instead of the few of `make test`.
"""

import inspect
import os
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

_ASKED = int(os.environ.get("CARILLON_PROPERTY_EXAMPLES", "0"))

LONGEST = 900 + 5 * _ASKED
"""Seconds for one machine, shrinking included."""

_ALWAYS: dict[str, Any] = {
    "deadline": None,  # the database's speed is no property
    "print_blob": True,
    "suppress_health_check": list(HealthCheck),
    "report_multiple_bugs": False,
}


def thorough(examples: int, steps: int = 30) -> settings:
    """Other examples in every run; `examples` unless more were asked for."""
    return settings(max_examples=_ASKED or examples, stateful_step_count=steps, **_ALWAYS)


def hasty(examples: int, steps: int = 30) -> settings:
    """The same examples in every run, and no shrinking: to see red once."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        **{**_ALWAYS, "print_blob": False},
    )


def check(machine: type[RuleBasedStateMachine], *, examples: int, steps: int = 30) -> None:
    """Run a machine."""
    run_state_machine_as_test(machine, settings=thorough(examples, steps))


def check_notices(machine: type[RuleBasedStateMachine], *, examples: int = 60, steps: int = 30) -> None:
    """Run a machine over faulty code: it must fail."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=hasty(examples, steps))


@contextmanager
def planted(place: Callable[..., Any], before: str, after: str) -> Iterator[None]:
    """Change a function's text while inside, wherever it was imported to.

    The text must be there exactly once, so that a fault which can no longer be planted is seen.
    """
    function = place
    assert isinstance(function, FunctionType)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(before) == 1, f"{function.__qualname__} has {source.count(before)} times {before!r}"
    made: dict[str, Any] = {}
    exec(compile(source.replace(before, after), inspect.getfile(function), "exec"), function.__globals__, made)
    kept = function.__code__
    function.__code__ = made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = kept


@contextmanager
def planted_text(module: ModuleType, name: str, before: str, after: str) -> Iterator[None]:
    """The same for a statement that is a constant of a module."""
    text = getattr(module, name)
    assert text.count(before) == 1, f"{module.__name__}.{name} has {text.count(before)} times {before!r}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, text.replace(before, after))
        yield
