"""The simulation finds the bugs it is there to find: each one planted, found within so many seeds, gone without it."""

import json
import os

import pytest

from .simulation import main
from .simulation.mutations import BUGS

pytestmark = pytest.mark.acceptance  # it fills both cores by itself

CORE = (
    "settle_without_epoch",
    "authorise_without_lock",
    "retry_blindly",
    "retry_with_a_new_key",
    "forget_recovery",
    "zombie_writes",
)
"""Planted at every run; the others, which take twenty seconds each, with CARILLON_LONG_FAULTS=1."""
HISTORIES = 120
"""At most; most bugs show within ten."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", BUGS if "CARILLON_LONG_FAULTS" in os.environ else CORE)
def test_a_planted_bug_is_found(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    bug = BUGS[name]
    arguments = [f"--plant={name}", "--first", f"--histories={HISTORIES}", "--jobs=2"]
    code = main([*arguments, *[f"--focus={fault}" for fault in bug.focus]])
    said = capsys.readouterr().out
    total = json.loads(said.splitlines()[-1])
    assert code == 1, f"{HISTORIES} histories did not show the bug"
    assert any(text in said for text in bug.finds), said
    assert total["clean"], "the same seeds break a promise without the bug"
