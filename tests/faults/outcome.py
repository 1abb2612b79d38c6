"""What a fault did, and what a scenario is."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ground import Ground


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table: a fault, and what the ledgers say afterwards.

    Attributes:
        fault: What was done.
        lost: Messages, replies, calls or imported people that one side has and the other has not.
        duplicated: Copies beyond the first.
        to_opted_out: Accepted by the platform after we had confirmed the person's opt-out.
        unknown: Messages whose outcome nobody knows; only where the platform does not de-duplicate.
        seconds: From the end of the fault until nothing was on its way, or what `note` says.
        note: What else was seen.
        broken: Other promises that were not kept, in words.
        at_most: The most `seconds` may be; judged by `make faults`, never by a test.
    """

    fault: str
    lost: int
    duplicated: int
    to_opted_out: int
    unknown: int
    seconds: float
    note: str = ""
    broken: tuple[str, ...] = ()
    at_most: float | None = None

    @property
    def proven(self) -> bool:
        """Whether every promise was kept, time left aside."""
        return not (self.lost or self.duplicated or self.to_opted_out or self.broken)

    @property
    def in_time(self) -> bool:
        """Whether it was as fast as promised."""
        return self.at_most is None or self.seconds <= self.at_most


Run = Callable[["Ground", bool], Coroutine[Any, Any, list[Outcome]]]
"""Runs a scenario; the flag asks for the bounded one."""


def nothing_needed() -> str | None:
    """For scenarios that run everywhere."""
    return None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of fault.

    Attributes:
        name: For `--only`.
        about: What is done and what must hold, for the table's explanation.
        run: Does it.
        quick: Whether the bounded set has it.
        missing: What the machine lacks to run it, in words.
    """

    name: str
    about: str
    run: Run
    quick: bool = True
    missing: Callable[[], str | None] = nothing_needed
