"""The server's process: find it, start it, wait for it, end it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from carillon.kernel.errors import Unavailable
from carillon.storage.locks import FileLock

from .account import Account
from .binaries import Binaries
from .diagnosis import disk_full, nothing_is_free
from .errors import ClusterFailed
from .layout import Layout

StopMode = Literal["fast", "immediate"]

_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_POLL_SECONDS = 0.01
_PID_LINES = 8  # of postmaster.pid, once the server is ready (miscadmin.h, LOCK_FILE_LINE_*)
_FULL_DISK_SECONDS = 5.0
"""How long a start may take on a disk without a free page: beyond, it crashes and recovers for ever."""
_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux, 104 elsewhere, with the closing zero
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server as `postmaster.pid` describes it.

    Attributes:
        pid: The postmaster's process.
        port: Its TCP port on 127.0.0.1; 0 while it is not known yet.
        socket_dir: The folder of its unix socket, if it has one.
        ready: Whether it takes connections.
    """

    pid: int
    port: int
    socket_dir: Path | None
    ready: bool


def find_server(layout: Layout) -> Server | None:
    """The server that runs on this cluster, or None; a stale pid file is seen through."""
    server = _read_pid_file(layout)
    return server if server and _serves(server.pid, layout.cluster) else None


def remove_stale_files(layout: Layout) -> None:
    """Remove what a dead server left, if another program has its process number now.

    PostgreSQL clears away dead numbers itself, but takes any living one for a server. Call it only with the
    server lock in hand: that proves that no process of the old server is left.
    """
    server = _read_pid_file(layout)
    if server and is_alive(server.pid):
        layout.pid_file.unlink(missing_ok=True)
    for file in layout.cluster.glob(".s.PGSQL.*"):
        file.unlink(missing_ok=True)


def spawn(layout: Layout, binaries: Binaries, account: Account, lock: FileLock, port: int) -> int:
    """Start the server and return its process number; it outlives us.

    The lock goes over to the server and every process it forks, so it falls when the last of them is gone.
    """
    sockets = socket_dir(layout, port)
    arguments = ["-D", str(layout.cluster), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    arguments += ["-c", f"unix_socket_directories={_quoted(sockets) if sockets else ''}"]
    with layout.startup_log.open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - paths we built
            account.command(binaries.program("postgres"), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock.descriptor,),
            # Its own session: the interrupt key of our terminal is not for it.
            start_new_session=True,
            **account.options(),
        )
    # Kept, so that we reap it and notice its end, whatever becomes of the caller's objects.
    _children[child.pid] = child
    return child.pid


def wait_until_ready(layout: Layout, pid: int, seconds: float) -> Server | None:
    """Wait until the server takes connections; None if it ended.

    Raises:
        ClusterFailed: It is still busy, as a rule with recovery; it was left running.
        DiskFull: There is no room to become ready in; it was left running.
    """
    patient_until = time.monotonic() + _FULL_DISK_SECONDS
    for _ in _until(seconds):
        server = _read_pid_file(layout)
        if server and server.pid == pid and server.ready:
            return server
        if not is_alive(pid):
            return None
        if time.monotonic() > patient_until and nothing_is_free(layout.root):
            raise disk_full(layout.root)
    raise ClusterFailed(
        f"PostgreSQL is still not ready after {seconds:.0f} s, probably recovering from a crash. It goes on "
        f"doing so; start again in a while. Its log is in {layout.logs}."
    )


def wait_for_lock_or_server(layout: Layout, seconds: float) -> FileLock | Server | None:
    """The server lock if nobody runs, or the server that does; None when neither shows in time.

    Neither shows for an instant while the backends of a killed postmaster leave, and while a server whose
    starter was killed has not written its pid file yet.
    """
    for _ in _until(seconds):
        if server := find_server(layout):
            return server
        if lock := FileLock.try_take(layout.server_lock):
            return lock
    return None


def end(pid: int, mode: StopMode, seconds: float) -> None:
    """Stop the server, at once if the gentler way takes too long: what is committed is safe either way.

    Raises:
        Unavailable: It does not end.
    """
    for attempt in (mode, "immediate"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, _SIGNALS[attempt])
        for _ in _until(seconds):
            if not is_alive(pid):
                return
    raise Unavailable(f"PostgreSQL (process {pid}) does not end.")


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not reaped does not."""
    if child := _children.get(pid):
        if child.poll() is None:
            return True
        # Reaped, so the number is free for others from here on.
        del _children[pid]
        return False
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def socket_dir(layout: Layout, port: int) -> Path | None:
    """Where the unix socket goes: into the cluster, or nowhere if clients could not reach it there."""
    longest = os.fsencode(layout.cluster / f".s.PGSQL.{port}")
    # libpq and asyncpg take a comma for the end of a host name.
    usable = len(longest) <= _LONGEST_SOCKET_PATH and "," not in str(layout.cluster)
    return layout.cluster if usable else None


def _quoted(folder: Path) -> str:
    # The setting is a list of names, so a blank in one needs quotes.
    return '"' + str(folder).replace('"', '""') + '"'


def _until(seconds: float) -> Iterator[None]:
    """Poll: at least once, then every few milliseconds until the time is up."""
    deadline = time.monotonic() + seconds
    yield
    while time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        yield


def _read_pid_file(layout: Layout) -> Server | None:
    try:
        lines = layout.pid_file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return None
    pid, _, _, port, sockets, *_ = [*(line.strip() for line in lines), *[""] * 5]
    if not pid.isdigit():  # empty for an instant while it is being written
        return None
    return Server(
        pid=int(pid),
        port=int(port) if port.isdigit() else 0,
        socket_dir=Path(sockets) if sockets else None,
        ready=len(lines) >= _PID_LINES and lines[_PID_LINES - 1].strip() == "ready",
    )


def _serves(pid: int, cluster: Path) -> bool:
    """Whether this process is a server that works in this folder, not a stranger with a reused number."""
    if not is_alive(pid):
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        try:
            # A postmaster works in its data folder from its first moments on.
            return Path(process.cwd()) == cluster
        except psutil.AccessDenied:  # another user's
            return process.name().startswith("postgres")
    return False
