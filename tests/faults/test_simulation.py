"""Seeded histories of the real delivery code: some with every run, many by `make faults ARGS=--simulate=10000`."""

import json
import subprocess
import sys

import pytest

from .simulation import main
from .simulation.cli import again

pytestmark = pytest.mark.acceptance  # it fills both cores by itself

HISTORIES = 200


@pytest.mark.timeout(1200)
def test_histories_keep_every_promise(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([f"--histories={HISTORIES}", "--jobs=2"])
    said = capsys.readouterr().out
    total = json.loads(said.splitlines()[-1])
    assert code == 0, said
    assert total["histories"] == HISTORIES
    # That it means something: messages went out, and things went wrong.
    assert total["delivered"] > 5 * HISTORIES
    assert sum(total["faults"].values()) > HISTORIES


def test_a_seed_replays_exactly() -> None:
    command = [sys.executable, "-m", "tests.faults.simulation", "--replay=7", "--focus=freeze_at"]
    once, again_ = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert len(once.splitlines()) > 20
    assert once.splitlines()[:-1] == again_.splitlines()[:-1]


def test_the_command_to_replay() -> None:
    assert again(7) == "make faults ARGS=--replay=7"
    assert again(7, ["--focus=crash"]) == 'make faults ARGS="--replay=7 --focus=crash"'
