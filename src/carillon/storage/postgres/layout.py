"""What lies where in the data folder."""

import os
from dataclasses import dataclass
from pathlib import Path

DATABASE = "carillon"
"""The database made with every cluster."""

SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths under one data folder.

    Attributes:
        root: The data folder, absolute and without links.
    """

    root: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own folder (PGDATA); it appears by a rename, so it is whole or absent."""
        return self.root / "cluster"

    @property
    def password(self) -> Path:
        """The superuser's password, mode 0600."""
        return self.root / "superuser.password"

    @property
    def port(self) -> Path:
        """The port of the last start, so that it stays the same while it is free."""
        return self.root / "port"

    @property
    def start_lock(self) -> Path:
        """Held by whoever is starting or stopping."""
        return self.root / "start.lock"

    @property
    def owner_lock(self) -> Path:
        """Held by the process that may stop the server, for as long as it lives."""
        return self.root / "owner.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server and every process it forks."""
        return self.root / "server.lock"

    @property
    def startup_log(self) -> Path:
        """What the server said before it opened its own log."""
        return self.root / "startup.log"

    @property
    def logs(self) -> Path:
        """The server's own log files."""
        return self.cluster / "log"

    @property
    def pid_file(self) -> Path:
        """PostgreSQL's `postmaster.pid`."""
        return self.cluster / "postmaster.pid"


def write_file(path: Path, text: str, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Replace a file in one step, durably.

    The target may lie in a folder that another account may write to, so links are never followed.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if owner is not None:
            os.fchown(descriptor, *owner)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
