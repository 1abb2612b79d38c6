"""Folders for the moment: none outlives its process for long, and none is taken from the living."""

import subprocess
import sys
from pathlib import Path

import pytest

from carillon.storage import scratch

KILLED = """
import os, signal, sys
from pathlib import Path
from carillon.storage import scratch
with scratch.folder(Path(sys.argv[1])) as made:
    (made / "file").write_text("a person's number")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def files(data: Path) -> list[Path]:
    return list(data.rglob("file"))


def test_it_goes_with_its_block(tmp_path: Path) -> None:
    with scratch.folder(tmp_path) as made:
        (made / "file").write_text("a person's number")
        assert len(files(tmp_path)) == 1
    assert not files(tmp_path)


@pytest.mark.parametrize("mend", ["sweep", "folder"])
def test_what_a_killed_process_left_goes_and_what_another_uses_stays(tmp_path: Path, mend: str) -> None:
    with scratch.folder(tmp_path) as made:
        (made / "file").write_text("in use")
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert len(files(tmp_path)) == 2
        if mend == "sweep":
            scratch.sweep(tmp_path)
        else:
            with scratch.folder(tmp_path):
                pass
        assert files(tmp_path) == [made / "file"]
