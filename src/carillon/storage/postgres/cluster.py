"""Start, attach to and stop the embedded PostgreSQL."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from carillon.storage.locks import FileLock

from .account import Account, choose_account
from .binaries import Binaries, find_binaries
from .creation import cluster_exists, create_cluster, read_password, remove_leftovers
from .diagnosis import explain_failure, last_words, port_was_taken, prune_logs, reporting_failed_writes
from .errors import ClusterFailed, ClusterInUse, DiskFull
from .layout import DATABASE, SUPERUSER, Layout, write_file
from .ownership import become_owner, give_up, is_owner
from .ports import choose_port, remember_port
from .process import (
    Server,
    StopMode,
    end,
    find_server,
    remove_stale_files,
    spawn,
    wait_for_lock_or_server,
    wait_until_ready,
)
from .settings import INCLUDED, server_settings

_PORT_TRIES = 5
_LEAVING_SECONDS = 30.0
"""How long the processes of a killed server may take to leave."""


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """A server that takes connections.

    Attributes:
        data_dir: The data folder that was asked for.
        bin_dir: Where its programs are.
        version: Its major version.
        port: Its TCP port on 127.0.0.1.
        socket_dir: The folder of its unix socket; None where the path would be too long.
        pid: The postmaster's process.
        start_seconds: How long `start_cluster` took, creation included.
        attached: Whether it was running already.
    """

    data_dir: Path
    bin_dir: Path
    version: int
    port: int
    socket_dir: Path | None
    pid: int
    start_seconds: float
    attached: bool
    _password: str = field(repr=False)

    @property
    def superuser_url(self) -> str:
        """The superuser's address of database `carillon` over TCP, password included: asyncpg, libpq."""
        return f"postgresql://{SUPERUSER}:{quote(self._password, safe='')}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def socket_url(self) -> str | None:
        """The same over the unix socket, or None where there is none."""
        if self.socket_dir is None:
            return None
        place = f"host={quote(str(self.socket_dir), safe='')}&port={self.port}"
        return f"postgresql://{SUPERUSER}:{quote(self._password, safe='')}@/{DATABASE}?{place}"

    @property
    def owned(self) -> bool:
        """Whether this process is the one that may stop the server."""
        return is_owner(Layout(self.data_dir))

    def stop(self, mode: StopMode = "fast", *, seconds: float = 60) -> bool:
        """Stop the server and give up owning it; does nothing in a process that does not own it.

        Args:
            mode: `fast` ends sessions and writes everything out, `immediate` leaves that to the next start.
            seconds: How long a fast stop may take before it becomes an immediate one.

        Returns:
            Whether a server was stopped.

        Raises:
            Unavailable: It does not end.
        """
        layout = Layout(self.data_dir)
        if not is_owner(layout):
            return False
        stopped = stop_cluster(self.data_dir, mode, seconds=seconds)
        give_up(layout)
        return stopped


def start_cluster(data_dir: Path, *, binaries: Binaries | None = None, seconds: float = 300) -> RunningCluster:
    """Start PostgreSQL on a data folder, creating it on first use, or attach to the server that runs on it.

    Of several processes that start at once exactly one does so; the others attach. The server outlives this
    process. The caller owns it, that is, may stop it, unless another living process does.

    Args:
        data_dir: A folder that is only for this; created if missing.
        binaries: Which PostgreSQL; found if left out.
        seconds: How long the server may take until it is ready; a recovery after a crash counts.

    Raises:
        SetupError: Of one of the kinds in `errors`; the message says what to do.
    """
    began = time.monotonic()
    binaries = binaries or find_binaries()
    layout = Layout(data_dir.resolve())
    with reporting_failed_writes(layout.root):
        layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock.take(layout.start_lock):
            server, attached = _attach_or_start(layout, binaries, seconds)
            become_owner(layout)
    return RunningCluster(
        data_dir=layout.root,
        bin_dir=binaries.bin_dir,
        version=binaries.version,
        port=server.port,
        socket_dir=server.socket_dir,
        pid=server.pid,
        start_seconds=time.monotonic() - began,
        attached=attached,
        _password=read_password(layout),
    )


def stop_cluster(data_dir: Path, mode: StopMode = "fast", *, seconds: float = 60) -> bool:
    """Stop whatever server runs on a data folder, whoever owns it.

    Returns:
        Whether one was running.

    Raises:
        Unavailable: It does not end.
    """
    layout = Layout(data_dir.resolve())
    if not layout.cluster.is_dir():
        return False
    with FileLock.take(layout.start_lock):
        server = find_server(layout)
        if server is None:
            return False
        end(server.pid, mode, seconds)
    return True


def _attach_or_start(layout: Layout, binaries: Binaries, seconds: float) -> tuple[Server, bool]:
    match wait_for_lock_or_server(layout, _LEAVING_SECONDS):
        case Server() as server:
            ready = wait_until_ready(layout, server.pid, seconds)
            if ready is None:
                raise explain_failure("PostgreSQL ended while we attached to it.", last_words(layout), layout.root)
            cluster_exists(layout, binaries)  # refuses to go on with other binaries or without the password
            return ready, True
        case FileLock() as lock:
            with lock:
                account = _prepare(layout, binaries)
            return _start(layout, binaries, account, seconds), False
        case _:
            raise ClusterInUse(
                f"A PostgreSQL server that cannot be seen from here, perhaps in another container, uses {layout.root}."
            )


def _prepare(layout: Layout, binaries: Binaries) -> Account:
    account = choose_account(layout.root, binaries)
    if cluster_exists(layout, binaries):
        remove_leftovers(layout)
        account.own(layout.cluster)
    else:
        create_cluster(layout, binaries, account)
    _write_settings(layout, binaries, account)
    remove_stale_files(layout)
    prune_logs(layout)
    return account


def _start(layout: Layout, binaries: Binaries, account: Account, seconds: float) -> Server:
    for attempt in range(_PORT_TRIES):
        port = choose_port(layout, fresh=attempt > 0)
        with _server_lock(layout) as lock:
            server = _launch(layout, binaries, account, lock, port, seconds)
        if server:
            remember_port(layout, server.port)
            return server
        # Its log collector outlives it by a moment, and writes its last words.
        with _server_lock(layout):
            output = last_words(layout)
        if not port_was_taken(output):
            raise explain_failure("PostgreSQL did not start.", output, layout.root)
    raise ClusterFailed("PostgreSQL found no free port on 127.0.0.1.")


def _server_lock(layout: Layout) -> FileLock:
    """The lock that falls when the last process of a server is gone; the start lock keeps others from taking it."""
    match wait_for_lock_or_server(layout, _LEAVING_SECONDS):
        case FileLock() as lock:
            return lock
        case _:
            raise ClusterInUse(f"Processes of a PostgreSQL server that ended still hold {layout.root}.")


def _launch(
    layout: Layout, binaries: Binaries, account: Account, lock: FileLock, port: int, seconds: float
) -> Server | None:
    pid = spawn(layout, binaries, account, lock, port)
    try:
        return wait_until_ready(layout, pid, seconds)
    except DiskFull:
        end(pid, "immediate", _LEAVING_SECONDS)
        raise


def _write_settings(layout: Layout, binaries: Binaries, account: Account) -> None:
    file, text = layout.cluster / INCLUDED, server_settings(binaries)
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_file(file, text, owner=account.owner)
