"""Dump a database to a file and restore it, with PostgreSQL's own programs."""

import os
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from carillon.kernel.errors import CarillonError

from .binaries import Binaries, system_binaries
from .errors import DumpFailed, NoBinaries, RestoreFailed
from .layout import sync_folder

_TAIL_LINES = 12


def dump(binaries: Binaries, url: str, target: Path) -> None:
    """Write a whole database to a file in pg_dump's custom format, compressed; the file is whole or absent.

    Args:
        binaries: Not older than the server.
        url: The database, `postgresql://user:password@host:port/name`; a driver (`+asyncpg`) is ignored.
        target: The file; replaced if it exists. It is readable only by us.

    A role that row-level security binds dumps what `app.scope = all` lets it see, so make sure it is everything.

    Raises:
        DumpFailed: pg_dump failed; the message holds its last words.
        NoBinaries: There is no pg_dump.
    """
    target = target.absolute()
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    # Made before pg_dump opens it, for its mode. Not through stdout: pg_dump appends there, and then cannot go
    # back to note where each table's data begin. It syncs the file itself.
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        options = ["--format=custom", "--enable-row-security", f"--file={partial}"]
        _run(binaries, "pg_dump", url, options, error=DumpFailed)
        partial.replace(target)
        sync_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def restore_dump(binaries: Binaries, url: str, source: Path) -> None:
    """Put everything in a dump in the place of what a database has by those names: all of it or nothing.

    Args:
        binaries: Not older than those that made the dump.
        url: The database, as for `dump`; the roles that own its tables must exist.
        source: A file written by `dump`.

    Raises:
        RestoreFailed: pg_restore failed; the message holds its last words. The database is as before.
        NoBinaries: There is no pg_restore.
    """
    if not source.is_file():
        raise RestoreFailed(f"There is no dump {source}.")
    # Owned by whoever restores: the role that made it may not exist here.
    options = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
    _run(binaries, "pg_restore", url, [*options, str(source.absolute())], error=RestoreFailed)


def _run(
    binaries: Binaries,
    name: str,
    url: str,
    arguments: list[str],
    *,
    error: type[CarillonError],
) -> None:
    address, password = split_password(url)
    # Not among the arguments: those can be read by every user of the machine.
    # What is not there for a superuser: the scope in which the policies show every tenant's rows.
    environment = {"PATH": os.defpath, "LC_ALL": "C", "PGPASSWORD": password, "PGOPTIONS": "-c app.scope=all"}
    answer = subprocess.run(  # noqa: S603 - a path we built
        [_program(binaries, name), "--dbname", address, "--no-password", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        env=environment,
    )
    if answer.returncode:
        words = answer.stderr.decode("utf-8", "replace")
        if password:
            words = words.replace(password, "***")
        raise error("\n".join([f"{name} failed.", *words.strip().splitlines()[-_TAIL_LINES:]]))


def split_password(url: str) -> tuple[str, str]:
    """The address without its password and driver, as libpq takes it, and the password in clear text."""
    parts = urlsplit(url)
    credentials, at, place = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    scheme = parts.scheme.partition("+")[0]
    return urlunsplit(parts._replace(scheme=scheme, netloc=f"{user}{at}{place}")), unquote(password)


def _program(binaries: Binaries, name: str) -> Path:
    # An installation may lack the client programs; any that is not older can stand in.
    for candidate in (binaries, *(other for other in system_binaries() if other.version >= binaries.version)):
        if candidate.program(name).is_file():
            return candidate.program(name)
    raise NoBinaries(f"There is no {name} of version {binaries.version} or newer.")
