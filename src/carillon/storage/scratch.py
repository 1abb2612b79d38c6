"""Folders for the moment, below the data directory.

They go with their block. What a killed process left behind, which may be a whole file of people, goes when the next one
starts or needs a folder: the kernel drops a dead process's lock.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .locks import FileLock

_PLACE = "scratch"
_LOCK = "lock"


@contextmanager
def folder(data: Path) -> Iterator[Path]:
    """A new folder, ours alone until the block ends.

    Args:
        data: The data directory.
    """
    with _locked(data) as root:
        _sweep(root)
        made = Path(tempfile.mkdtemp(dir=root))
        ours = FileLock.take(made / _LOCK)
    try:
        yield made
    finally:
        with _locked(data), ours:
            shutil.rmtree(made)


def sweep(data: Path) -> None:
    """Remove the folders whose processes have died."""
    with _locked(data) as root:
        _sweep(root)


@contextmanager
def _locked(data: Path) -> Iterator[Path]:
    """Nobody else makes or removes a folder meanwhile."""
    root = data / _PLACE
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock.take(root / _LOCK):
        yield root


def _sweep(root: Path) -> None:
    for left in root.iterdir():
        if not left.is_dir():
            continue
        free = FileLock.try_take(left / _LOCK)
        if free is not None:
            with free:
                shutil.rmtree(left)
