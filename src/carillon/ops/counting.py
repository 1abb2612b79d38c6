"""Where processes count: in their own memory, or, under `carillon up`, in files that the API process reads.

Every metric of the product is declared with the classes re-exported here, so that this choice has been made before
the first one exists. The files are named for the program (`delivery-1`), not for the process: the next process of the
same program goes on counting where the last one was killed, so counters never fall and no files are left over.
"""

import os
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import mark_process_dead

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""Where the files are; the library reads this variable too, and takes no other."""
PROGRAM = "CARILLON_PROGRAM"
"""Names the program in them; without an underscore, which separates the parts of a file's name."""

_BYTES = 1 << 20
_PREFIXES = ("counter", "histogram", "gauge_livesum", "gauge_liveall", "gauge_livemostrecent")


def shared() -> Path | None:
    """The directory this process and its siblings count in; None when it counts for itself."""
    directory = os.environ.get(DIRECTORY)
    return Path(directory) if directory and os.environ.get(PROGRAM) else None


def program() -> str:
    """What this process is called among its siblings."""
    return os.environ.get(PROGRAM, "carillon")


def environment(directory: Path, name: str) -> dict[str, str]:
    """What a child must find in its environment to count in the directory."""
    return {DIRECTORY: str(directory), PROGRAM: name}


def forget(directory: Path, name: str) -> None:
    """The program's process is gone: what it said of the present is no longer true; what it counted stays."""
    mark_process_dead(name, str(directory))  # type: ignore[no-untyped-call] # untyped there
    figures_file(directory, name).unlink(missing_ok=True)


def figures_file(directory: Path, name: str) -> Path:
    """Where a program publishes what it read elsewhere, as text."""
    return directory / f"figures_{name}.prom"


def prepare(root: Path) -> Path:
    """A directory for this process tree below `root`; those of trees that are gone are removed."""
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        if old.name.isdigit() and not _alive(int(old.name)):
            _remove(old)
    mine = root / str(os.getpid())
    _remove(mine)
    mine.mkdir()
    return mine


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(directory: Path) -> None:
    if directory.is_dir():
        for file in directory.iterdir():
            file.unlink(missing_ok=True)
        directory.rmdir()


def _reserve(directory: Path, name: str) -> None:
    """Take the room on the disk now: a write through a memory map to a full disk would kill the process."""
    for prefix in _PREFIXES:
        with (directory / f"{prefix}_{name}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, _BYTES)


def _choose() -> None:
    """Count in the files, if we are asked to and there is room."""
    directory = shared()
    if directory is None:
        os.environ.pop(DIRECTORY, None)
        values.ValueClass = values.MutexValue
        return
    try:
        _reserve(directory, program())
    except OSError:
        os.environ.pop(DIRECTORY, None)
        values.ValueClass = values.MutexValue
        return
    values.ValueClass = values.MultiProcessValue(program)  # type: ignore[no-untyped-call] # untyped there


_choose()

__all__ = [
    "Counter",
    "Gauge",
    "Histogram",
    "environment",
    "figures_file",
    "forget",
    "prepare",
    "program",
    "shared",
]
