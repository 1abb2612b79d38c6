import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import carillon
from carillon.ops import crash_points

CODE = (
    "from carillon.ops.crash_points import reached\n"
    "for number in range(5):\n    print(number, flush=True)\n    reached('settle.committed')\n"
    "    reached('write.accepted')\n"
)


def run(armed: str, code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CARILLON_CRASH_AT": armed}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_the_process_dies_the_nth_time_it_reaches_the_place() -> None:
    ended = run("write.accepted:3", CODE)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["0", "1", "2"]
    assert run("", CODE).returncode == 0


def test_it_freezes_there_once_and_goes_on_when_it_is_let() -> None:
    environment = {**os.environ, "CARILLON_FREEZE_AT": "write.accepted:3"}
    with subprocess.Popen([sys.executable, "-c", CODE], env=environment, stdout=subprocess.PIPE, text=True) as frozen:
        _, status = os.waitpid(frozen.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        frozen.send_signal(signal.SIGCONT)
        said, _ = frozen.communicate()
    assert frozen.returncode == 0
    assert said.split() == ["0", "1", "2", "3", "4"]


def test_a_place_that_is_not_there_is_refused() -> None:
    ended = run("nowhere", "import carillon.ops.crash_points")
    assert ended.returncode != 0
    assert "names no crash point: nowhere" in ended.stderr


def test_every_named_place_is_in_the_code_and_every_place_is_named() -> None:
    source = Path(carillon.__file__).parent
    found = {
        point
        for file in source.rglob("*.py")
        for point in re.findall(r'crash_points\.reached\(\s*"([^"]+)"', file.read_text("utf-8"))
    }
    assert found == crash_points.POINTS
