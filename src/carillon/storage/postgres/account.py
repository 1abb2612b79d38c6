"""Which account PostgreSQL runs under: it refuses to be root.

Not root: directly, as we are. Root: two ways, tried in this order.

1. A system account (`carillon`, else `nobody`), which owns the cluster's folder. A real separation: a
   database superuser who breaks out of SQL is nobody. It needs folders that account can enter, which a
   checkout, a virtual environment or data below a closed home such as /root do not offer.
2. A user namespace in which we have that account's number. PostgreSQL sees that it is not root; outside it
   is still root, without capabilities, so it enters what root owns. Weaker, and containers often forbid it.

The choice is made anew at each start, and the cluster's files follow it, so a moved checkout goes on working.
"""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .binaries import Binaries
from .errors import NoAccount

_CANDIDATES = ("carillon", "nobody")
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""Nothing of ours leaks into the server: no PG* variable, no secret. LC_ALL=C keeps its messages English."""


@dataclass(frozen=True, slots=True)
class Account:
    """How to start PostgreSQL's programs.

    Attributes:
        owner: Numbers of the user and group that must own the cluster's files.
        switch: Whether a child must take on `owner`.
        wrapper: Words in front of every command.
    """

    owner: tuple[int, int]
    switch: bool = False
    wrapper: tuple[str, ...] = ()

    def command(self, program: Path, *arguments: str) -> list[str]:
        """The words of a command."""
        return [*self.wrapper, str(program), *arguments]

    def options(self) -> dict[str, Any]:
        """The arguments of `subprocess` that put a child under this account."""
        options: dict[str, Any] = {"cwd": "/", "env": dict(_ENVIRONMENT)}
        if self.switch:
            options |= {"user": self.owner[0], "group": self.owner[1], "extra_groups": []}
        return options

    def own(self, folder: Path) -> None:
        """Make every file of a folder this account's, if another way of running used it before.

        Raises:
            NoAccount: The files belong to another user, and we are not root.
        """
        if folder.lstat().st_uid == self.owner[0]:
            return
        if os.geteuid() != 0:
            raise NoAccount(f"The database in {folder} belongs to another user: run as that user, or as root.")
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.lchown(os.path.join(parent, name), *self.owner)  # noqa: PTH118 - many files
        # Last, so that an interrupted change is done again.
        os.lchown(folder, *self.owner)


def choose_account(root: Path, binaries: Binaries) -> Account:
    """Choose how to run PostgreSQL here; opens `root` for passing through where the account needs that.

    Args:
        root: The data folder; it exists and is resolved.
        binaries: What will be run.

    Raises:
        NoAccount: No way was found; the message says what to change.
    """
    own = (os.geteuid(), os.getegid())
    if own[0] != 0 and _has_name(own[0]):
        return Account(own)
    if own[0] == 0 and (account := _system_account(root, binaries)):
        # The folder is ours by contract, unlike those above it: let the account pass through, not look in.
        root.chmod(stat.S_IMODE(root.stat().st_mode) | stat.S_IXOTH)
        return account
    if account := _namespace_account(own, binaries):
        return account
    blocked = " and ".join(str(folder) for folder in _blocked(root, binaries.bin_dir)) or str(root)
    raise NoAccount(
        f"PostgreSQL must not run as root; other users cannot enter {blocked}, and this system permits no "
        "user namespace. Do one of these: run as an ordinary user; set CARILLON_DATA to a folder that other "
        "users can enter (and install Carillon in one); or set CARILLON_DATABASE_URL to a server elsewhere."
    )


def _has_name(uid: int) -> bool:
    # initdb insists on a name for its user; containers often run under a bare number.
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _candidate() -> pwd.struct_passwd | None:
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    return None


def _system_account(root: Path, binaries: Binaries) -> Account | None:
    entry = _candidate()
    if entry is None or _blocked(root, binaries.bin_dir):
        return None
    account = Account((entry.pw_uid, entry.pw_gid), switch=True)
    return account if _runs(account, binaries) else None


def _namespace_account(own: tuple[int, int], binaries: Binaries) -> Account | None:
    entry, unshare = _candidate(), shutil.which("unshare", path=f"{os.defpath}:/usr/sbin:/sbin")
    if entry is None or unshare is None:
        return None
    mapping = (f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}")
    account = Account(own, wrapper=(unshare, "--user", *mapping, "--"))
    return account if _runs(account, binaries) else None


def _blocked(root: Path, bin_dir: Path) -> Sequence[Path]:
    """The folders on the way to the data and the programs that other users cannot enter."""
    folders = {*root.parents, bin_dir, *bin_dir.parents}
    return sorted(folder for folder in folders if not folder.stat().st_mode & stat.S_IXOTH)


def _runs(account: Account, binaries: Binaries) -> bool:
    # Trying beats predicting: access lists, security modules and seccomp all have a say.
    command = account.command(binaries.program("postgres"), "--version")
    try:
        answer = subprocess.run(command, capture_output=True, check=False, timeout=30, **account.options())  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0
