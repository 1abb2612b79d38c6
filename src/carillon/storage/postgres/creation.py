"""Make a new cluster: whole or not at all."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .account import Account
from .binaries import Binaries
from .diagnosis import explain_failure
from .errors import NotACluster, PasswordLost, VersionMismatch
from .layout import DATABASE, SUPERUSER, Layout, sync_folder, write_file
from .settings import INCLUDE_LINE

_FRESH = "new-"
_BUILTIN_LOCALE_VERSION = 17


def cluster_exists(layout: Layout, binaries: Binaries) -> bool:
    """Whether there is a cluster that these binaries can run.

    Raises:
        NotACluster: There is a folder, but PostgreSQL did not make it, or it has lost its heart.
        VersionMismatch: Another major version made it.
        PasswordLost: It is there, but its password is not.
    """
    try:
        contents = {entry.name for entry in layout.cluster.iterdir()}
    except FileNotFoundError:
        return False
    if not contents:
        layout.cluster.rmdir()
        return False
    if "PG_VERSION" not in contents or not (layout.cluster / "global" / "pg_control").is_file():
        # Never deleted: we rename finished clusters into place, so this is not an unfinished one of ours.
        raise NotACluster(f"{layout.cluster} is not a whole PostgreSQL cluster. Restore it, or move it away.")
    _check_version(layout, binaries)
    if not layout.password.is_file():
        raise PasswordLost(f"{layout.password} is missing. Restore it from the backup that holds {layout.cluster}.")
    return True


def create_cluster(layout: Layout, binaries: Binaries, account: Account) -> None:
    """Run initdb beside the target, add the database, then rename: if killed, only rubbish is left.

    Raises:
        ClusterFailed: initdb failed; the message holds its last words.
        DiskFull: No space.
    """
    remove_leftovers(layout)
    if not layout.password.is_file():
        write_file(layout.password, secrets.token_urlsafe(32) + "\n")
    fresh = Path(tempfile.mkdtemp(prefix=_FRESH, dir=layout.root))
    try:
        os.chown(fresh, *account.owner)
        _initdb(fresh / "cluster", layout, binaries, account)
        (fresh / "cluster").rename(layout.cluster)
        sync_folder(layout.root)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_password(layout: Layout) -> str:
    """The superuser's password."""
    return layout.password.read_text(encoding="ascii").strip()


def remove_leftovers(layout: Layout) -> None:
    """Remove what a killed creation left behind."""
    for leftover in layout.root.glob(f"{_FRESH}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _check_version(layout: Layout, binaries: Binaries) -> None:
    made_by = (layout.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != str(binaries.version):
        raise VersionMismatch(
            f"The database in {layout.cluster} was made by PostgreSQL {made_by}, but {binaries.bin_dir} is "
            f"PostgreSQL {binaries.version}. Configure binaries of version {made_by}; to move to another "
            "version, dump the database with the old one and restore it into a new data folder.",
            made_by=made_by,
            found=binaries.version,
        )


def _initdb(cluster: Path, layout: Layout, binaries: Binaries, account: Account) -> None:
    password_file = cluster.with_name("password")
    write_file(password_file, read_password(layout) + "\n", owner=account.owner)
    arguments = [
        *("--pgdata", str(cluster), "--username", SUPERUSER, "--pwfile", str(password_file)),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--data-checksums", "--no-instructions"),
        *locale_arguments(binaries.version),
    ]
    _run(account.command(binaries.program("initdb"), *arguments), layout, account)
    with (cluster / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(INCLUDE_LINE)
    # The include's target must exist before anything reads the configuration.
    write_file(cluster / "carillon.conf", "", owner=account.owner)
    # A lone backend needs no port and no client, and the new database arrives with the rename.
    lone = account.command(binaries.program("postgres"), "--single", "-D", str(cluster), "postgres")
    _run(lone, layout, account, f"CREATE DATABASE {DATABASE}\n")


def locale_arguments(version: int) -> Sequence[str]:
    """The locale of a new cluster: by code point, the same on every machine, yet with Unicode's letters.

    The C library's half stays C.UTF-8 beside the built-in provider, since pg_trgm and text search ask the C
    library what a letter is: under plain C no Chinese word is one.
    """
    builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    return (*(builtin if version >= _BUILTIN_LOCALE_VERSION else ()), "--locale=C.UTF-8", "--lc-messages=C")


def _run(command: list[str], layout: Layout, account: Account, stdin: str = "") -> None:
    answer = subprocess.run(  # noqa: S603 - paths we built
        command,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **account.options(),
    )
    # A lone backend reports a failed statement but still ends with 0.
    if answer.returncode or "ERROR:" in answer.stderr:
        raise explain_failure("PostgreSQL could not make a new database.", answer.stderr, layout.root)
