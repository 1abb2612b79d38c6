"""Turn the last words of PostgreSQL into an error a person can act on."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carillon.kernel.errors import SetupError

from .errors import ClusterFailed, DiskFull
from .layout import Layout

_FULL = "No space left on device"
_QUOTA = "Disk quota exceeded"
_PORT_TAKEN = "could not create any TCP/IP sockets"
_TAIL_BYTES = 4096
_TAIL_LINES = 12
_KEPT_LOGS = 5
_NOTHING = 1 << 20
"""Free bytes below which a failure is the disk's, whatever the log says."""


def explain_failure(headline: str, output: str, folder: Path) -> SetupError:
    """The error for what a program said before it ended.

    Args:
        headline: What was tried and failed.
        output: Its last output.
        folder: Where the data are.
    """
    if _FULL in output or _QUOTA in output:
        return disk_full(folder)
    lines = [line for line in output.splitlines() if line.strip()]
    if nothing_is_free(folder):
        # So full that PostgreSQL could not even write down why it failed.
        return disk_full(folder)
    return ClusterFailed("\n".join([headline, *lines[-_TAIL_LINES:]]))


def disk_full(folder: Path) -> DiskFull:
    """The error for a full disk, with what is left."""
    free = _free(folder)
    return DiskFull(
        f"No space left for the database in {folder}: {free >> 20} MB are free. A new database needs about "
        "100 MB, and its journal may grow to 2 GB. Make room, then start again; nothing is lost.",
        free_bytes=free,
    )


def nothing_is_free(folder: Path) -> bool:
    """Whether the disk is so full that PostgreSQL cannot even write down what is wrong."""
    return _free(folder) < _NOTHING


def _free(folder: Path) -> int:
    """Bytes left on the disk of a folder that may not be there yet."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


@contextmanager
def reporting_failed_writes(folder: Path) -> Iterator[None]:
    """Turn our own failed writes into `DiskFull`, or `ClusterFailed` where we may not write."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ClusterFailed(
                f"The data folder {folder} cannot be used by this user ({error.strerror}: {error.filename}). "
                "Change its permissions, run as its owner, or set CARILLON_DATA to another folder."
            ) from error
        raise


def port_was_taken(output: str) -> bool:
    """Whether the server ended because somebody else took its port."""
    return _PORT_TAKEN in output


def last_words(layout: Layout) -> str:
    """The end of what the server wrote, before and after it opened its own log."""
    files = [layout.startup_log, *_newest_logs(layout)[:1]]
    return "\n".join(_tail(file) for file in files if file.is_file())


def prune_logs(layout: Layout) -> None:
    """Keep the newest few log files of the server; each holds 10 MB at most."""
    for old in _newest_logs(layout)[_KEPT_LOGS:]:
        old.unlink(missing_ok=True)


def _newest_logs(layout: Layout) -> list[Path]:
    # Their names hold the time.
    return sorted(layout.logs.glob("postgresql-*.log"), reverse=True)


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return stream.read().decode("utf-8", "replace")
