"""A child ends with its parent, and one that was not asked to does not care."""

import os
import signal
import subprocess
import sys

from carillon.ops.lifeline import VARIABLE

CHILD = """
import signal, sys
from carillon.ops import lifeline
print(lifeline.hold(), flush=True)
if sys.argv[1] == "wait":
    signal.pause()
"""


def start(*, held: bool, action: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, VARIABLE: "1"} if held else dict(os.environ)
    command = [sys.executable, "-c", CHILD, action]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def test_it_ends_when_the_other_end_closes() -> None:
    with start(held=True, action="wait") as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"True\n"
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(60) == -signal.SIGTERM


def test_it_watches_nothing_unless_asked() -> None:
    with start(held=False, action="end") as child:
        assert child.communicate(timeout=60)[0] == b"False\n"
        assert child.returncode == 0
