"""The page says what was seen, and a fault that broke a promise cannot hide in it."""

from dataclasses import replace
from pathlib import Path

import pytest

from .__main__ import main
from .ground import Ground
from .outcome import Outcome, Scenario
from .registry import SCENARIOS
from .report import write_page

GOOD = Outcome("kill -9 ×200", 0, 0, 0, 3, 4.25, "12 campaigns")


async def nothing(ground: Ground, quick: bool) -> list[Outcome]:
    return []


SCENARIO = Scenario("kills", "Processes are killed.", nothing)


@pytest.mark.parametrize(
    ("outcome", "proven", "in_time"),
    [
        (GOOD, True, True),
        (replace(GOOD, lost=1), False, True),
        (replace(GOOD, duplicated=1), False, True),
        (replace(GOOD, to_opted_out=1), False, True),
        (replace(GOOD, broken=("it ended",)), False, True),
        (replace(GOOD, at_most=4.0), True, False),
        (replace(GOOD, at_most=5.0), True, True),
    ],
)
def test_what_counts_as_proven(outcome: Outcome, proven: bool, in_time: bool) -> None:
    assert (outcome.proven, outcome.in_time) == (proven, in_time)


def test_the_page_has_every_row_what_it_means_and_what_was_left_out(tmp_path: Path) -> None:
    bad = replace(GOOD, fault="SIGSTOP", broken=("the zombie wrote",), at_most=2.0)
    write_page(tmp_path / "page.md", [(SCENARIO, GOOD), (SCENARIO, bad)], {"clocks": "no libfaketime"})
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "| kill -9 ×200 | 0 | 0 | 0 | 3 | 4.2 | 12 campaigns |" in page
    assert "| SIGSTOP | 0 | 0 | 0 | 3 | 4.2 (**at most 2**) | 12 campaigns; **the zombie wrote** |" in page
    assert page.count("- **kills**: Processes are killed.") == 1
    assert "- **clocks** was left out: no libfaketime" in page
    assert "--only kills" in page


def test_a_fault_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "kills,volcano"])
    assert ended.value.code == 2
    assert "no such fault: volcano" in capsys.readouterr().err


def test_the_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == set(SCENARIOS)
