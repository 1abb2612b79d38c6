"""Real clusters: create, restart, crash, attach, adopt, and everything that may stand in the way."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from carillon.storage.locks import FileLock
from carillon.storage.postgres import (
    ClusterInUse,
    DiskFull,
    NotACluster,
    RestoreFailed,
    RunningCluster,
    VersionMismatch,
    binaries,
    cluster,
    dump,
    find_binaries,
    ownership,
    restore_dump,
    start_cluster,
    stop_cluster,
)
from carillon.storage.postgres.layout import Layout
from carillon.storage.postgres.ports import choose_port

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes users")

OTHER_PROCESS = """
import os, sys
from pathlib import Path
from carillon.storage.postgres import start_cluster
data_dir, uid = Path(sys.argv[1]), int(sys.argv[2])
if uid:
    import encodings.ascii  # later it may not be able to read where Python lives
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
sys.stdin.readline()
cluster = start_cluster(data_dir)
print(cluster.pid, int(cluster.owned), int(cluster.attached), cluster.superuser_url, flush=True)
sys.stdin.readline()
cluster.stop("immediate")
"""


class OtherProcess:
    """Another process that starts the cluster when told to, and stops it, if it owns it, when told to."""

    def __init__(self, data_dir: Path, uid: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, data_dir, str(uid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> tuple[int, bool, bool, str]:
        """The server's process, whether this process owns it, whether it attached, and the URL."""
        assert self.process.stdout
        pid, owned, attached, url = self.process.stdout.readline().split()
        return int(pid), owned == "1", attached == "1", url

    def start(self) -> tuple[int, bool, bool, str]:
        self.go()
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def finish(self) -> int:
        self.process.communicate("\n")
        return self.process.returncode


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder whose server is ended with the test."""
    yield tmp_path / "db"
    end(tmp_path / "db")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    end(folder / "db")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster for tests that only look."""
    running = start_cluster(tmp_path_factory.mktemp("shared") / "db")
    yield running
    running.stop("immediate")


def end(data_dir: Path) -> None:
    stop_cluster(data_dir, "immediate")
    ownership.give_up(Layout(data_dir.resolve()))


def ask(url: str, statement: str) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def is_postmaster(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def kill_9(pid: int) -> None:
    """Kill and see it dead: until then it still looks like a server one can attach to."""
    os.kill(pid, signal.SIGKILL)
    while is_postmaster(pid):
        pass


def test_a_first_start_gives_a_database_over_tcp_and_socket(shared: RunningCluster) -> None:
    assert shared.owned
    assert not shared.attached
    assert shared.version == 18
    assert ask(shared.superuser_url, "SELECT current_database()") == "carillon"
    assert shared.socket_url
    assert ask(shared.socket_url, "SELECT inet_client_addr() IS NULL AND current_user = 'postgres'") is True
    assert ask(shared.superuser_url, "SELECT host(inet_server_addr())") == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("recovery_init_sync_method", "syncfs"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("jit", "off"),
        ("max_connections", "100"),
        ("max_wal_size", "2GB"),
        ("checkpoint_timeout", "15min"),
        ("random_page_cost", "1.1"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("listen_addresses", "127.0.0.1"),
        ("log_rotation_size", "10MB"),
    ],
)
def test_the_settings_hold(shared: RunningCluster, name: str, value: str) -> None:
    assert ask(shared.superuser_url, f"SHOW {name}") == value


def test_text_is_compared_by_code_point_but_letters_are_known(shared: RunningCluster) -> None:
    assert ask(shared.superuser_url, "SELECT datlocprovider = 'b' FROM pg_database WHERE datname = 'carillon'")
    assert ask(shared.superuser_url, "SELECT 'Z' < 'a' AND upper('é') = 'É'") is True
    ask(shared.superuser_url, "CREATE EXTENSION pg_trgm")
    # Under plain C no Chinese character is a letter, and there would be no trigram.
    assert ask(shared.superuser_url, "SELECT cardinality(show_trgm('你好世界'))") == 5


def test_the_password_is_needed_private_and_never_shown(shared: RunningCluster) -> None:
    password_file = shared.data_dir / "superuser.password"
    password = password_file.read_text().strip()
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert password in shared.superuser_url
    assert password not in repr(shared)
    assert password not in " ".join(psutil.Process(shared.pid).cmdline())
    assert shared.socket_url
    for url in (shared.superuser_url, shared.socket_url):
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(url.replace(password, "wrong"), "SELECT 1")
    assert [file.name for file in shared.data_dir.rglob("*") if file.is_file() and "pass" in file.name] == [
        "superuser.password"
    ]


def test_the_server_is_out_of_reach_of_our_terminal(shared: RunningCluster) -> None:
    # Its own session and group: the interrupt key, sent to our group, does not reach it.
    assert os.getsid(shared.pid) == os.getpgid(shared.pid) == shared.pid


def test_the_server_holds_its_lock_to_the_last_process(data_dir: Path) -> None:
    running = start_cluster(data_dir)
    assert FileLock.try_take(data_dir / "server.lock") is None
    children = psutil.Process(running.pid).children()
    assert children
    running.stop()
    psutil.wait_procs(children)
    lock = FileLock.try_take(data_dir / "server.lock")
    assert lock is not None
    lock.let_go()


def test_our_environment_does_not_leak_into_the_server(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARILLON_VAULT_KEY", "secret")
    monkeypatch.setenv("PGPORT", "1")
    running = start_cluster(data_dir)
    assert not {"CARILLON_VAULT_KEY", "PGPORT"} & set(psutil.Process(running.pid).environ())


def test_a_restart_keeps_data_and_port(data_dir: Path) -> None:
    first = start_cluster(data_dir)
    ask(first.superuser_url, "CREATE TABLE kept AS SELECT 42 AS n")
    assert first.stop()
    assert not is_postmaster(first.pid)
    assert not first.owned
    assert not first.stop()
    second = start_cluster(data_dir)
    assert (second.port, second.pid == first.pid, second.attached) == (first.port, False, False)
    assert ask(second.superuser_url, "SELECT n FROM kept") == 42


def test_an_operators_settings_win(data_dir: Path) -> None:
    running = start_cluster(data_dir)
    ask(running.superuser_url, "ALTER SYSTEM SET max_wal_size = '3GB'")
    with (data_dir / "cluster" / "postgresql.conf").open("a") as file:
        file.write("max_connections = 77\n")
    running.stop("immediate")
    again = start_cluster(data_dir)
    assert ask(again.superuser_url, "SHOW max_wal_size") == "3GB"
    assert ask(again.superuser_url, "SHOW max_connections") == "77"


def test_after_kill_9_of_the_server_what_was_committed_is_there(data_dir: Path) -> None:
    first = start_cluster(data_dir)
    ask(first.superuser_url, "CREATE TABLE kept AS SELECT g FROM generate_series(1, 10000) g")
    kill_9(first.pid)
    second = start_cluster(data_dir)
    assert second.owned
    assert not second.attached
    assert ask(second.superuser_url, "SELECT count(*) FROM kept") == 10000


def test_after_kill_9_a_start_waits_for_backends_that_still_write(data_dir: Path) -> None:
    first = start_cluster(data_dir)

    async def crash_under_load() -> None:
        connection = await asyncpg.connect(first.superuser_url)
        busy = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        other = await asyncpg.connect(first.superuser_url)
        while not await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            pass
        kill_9(first.pid)
        second = await asyncio.to_thread(start_cluster, data_dir)
        assert second.pid != first.pid
        for gone in (connection, other):
            gone.terminate()
        await asyncio.gather(busy, return_exceptions=True)

    asyncio.run(crash_under_load())


def test_stale_lock_files_with_the_number_of_a_living_program_do_not_hinder(data_dir: Path) -> None:
    first = start_cluster(data_dir)
    pid_file, lock_file = data_dir / "cluster" / "postmaster.pid", f".s.PGSQL.{first.port}.lock"
    pids, lock = pid_file.read_text(), (data_dir / "cluster" / lock_file).read_text()
    first.stop()
    # Not ourselves: PostgreSQL expects its parent's number there, and does not mind.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as stranger:
        pid_file.write_text(pids.replace(str(first.pid), str(stranger.pid)))
        (data_dir / "cluster" / lock_file).write_text(lock.replace(str(first.pid), str(stranger.pid)))
        second = start_cluster(data_dir)
    assert not second.attached
    assert ask(second.superuser_url, "SELECT 1") == 1


def test_a_taken_port_gives_way_to_another(data_dir: Path) -> None:
    first = start_cluster(data_dir)
    first.stop()
    with socket.create_server(("127.0.0.1", first.port)):
        second = start_cluster(data_dir)
    assert second.port != first.port
    assert ask(second.superuser_url, "SELECT 1") == 1
    second.stop()
    assert start_cluster(data_dir).port == second.port


def test_a_port_taken_at_the_last_moment_gives_way_to_another(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        taken = thief.getsockname()[1]
        monkeypatch.setattr(cluster, "choose_port", lambda at, fresh: choose_port(at, fresh=True) if fresh else taken)
        running = start_cluster(data_dir)
    assert running.port != taken
    assert ask(running.superuser_url, "SELECT 1") == 1


def test_of_processes_that_start_at_once_one_starts_and_owns(data_dir: Path) -> None:
    others = [OtherProcess(data_dir) for _ in range(3)]
    for other in others:
        other.go()
    answers = [other.answer() for other in others]
    assert len({pid for pid, *_ in answers}) == 1
    assert sorted(attached for _, _, attached, _ in answers) == [False, True, True]
    # Whoever created it owns it.
    assert sorted((attached, owned) for _, owned, attached, _ in answers) == [
        (False, True),
        (True, False),
        (True, False),
    ]
    assert ask(answers[0][3], "SELECT 1") == 1
    for other, (_, owned, _, _) in zip(others, answers, strict=True):
        if not owned:
            assert other.finish() == 0
    assert is_postmaster(answers[0][0])
    for other in others:
        if other.process.poll() is None:
            assert other.finish() == 0
    assert not is_postmaster(answers[0][0])


def test_only_the_owner_stops_and_the_next_adopts_what_a_killed_owner_left(data_dir: Path) -> None:
    owner = OtherProcess(data_dir)
    pid, owned, _, _ = owner.start()
    assert owned
    guest = start_cluster(data_dir)
    assert (guest.pid, guest.owned, guest.attached) == (pid, False, True)
    assert not guest.stop()
    assert is_postmaster(pid)
    owner.kill()
    assert ask(guest.superuser_url, "SELECT 1") == 1
    heir = start_cluster(data_dir)
    assert (heir.pid, heir.owned, heir.attached) == (pid, True, True)
    assert heir.stop()
    assert not is_postmaster(pid)


def test_stop_cluster_needs_no_owner(data_dir: Path) -> None:
    assert not stop_cluster(data_dir)
    owner = OtherProcess(data_dir)
    pid, *_ = owner.start()
    assert stop_cluster(data_dir)
    assert not is_postmaster(pid)
    assert not stop_cluster(data_dir)
    assert owner.finish() == 0


def test_a_server_that_cannot_be_seen_is_not_overrun(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir.mkdir()
    monkeypatch.setattr(cluster, "_LEAVING_SECONDS", 0)
    with FileLock.take(data_dir / "server.lock"), pytest.raises(ClusterInUse):
        start_cluster(data_dir)


def test_a_creation_killed_midway_is_done_again(data_dir: Path) -> None:
    other = OtherProcess(data_dir)
    other.go()
    while not list(data_dir.glob("new-*/cluster/PG_VERSION")):
        assert other.process.poll() is None
    other.kill()
    assert not (data_dir / "cluster").exists()
    running = start_cluster(data_dir)
    assert not running.attached
    assert ask(running.superuser_url, "SELECT current_database()") == "carillon"


def test_other_binaries_than_the_datas_are_refused_stopped_or_running(data_dir: Path) -> None:
    running = start_cluster(data_dir)
    other = replace(find_binaries(), version=19)
    with pytest.raises(VersionMismatch):
        start_cluster(data_dir, binaries=other)
    running.stop()
    with pytest.raises(VersionMismatch, match="made by PostgreSQL 18"):
        start_cluster(data_dir, binaries=other)


def test_a_folder_with_other_things_is_left_alone(data_dir: Path) -> None:
    (data_dir / "cluster").mkdir(parents=True)
    (data_dir / "cluster" / "thesis.txt").write_text("years of work")
    with pytest.raises(NotACluster):
        start_cluster(data_dir)
    assert (data_dir / "cluster" / "thesis.txt").read_text() == "years of work"


def test_a_long_path_goes_without_a_socket_and_any_characters_do(tmp_path: Path) -> None:
    data_dir = tmp_path / 'a long, "odd" name\'s 名 %20 folder' / ("x" * 60)
    running = start_cluster(data_dir)
    try:
        assert running.socket_url is None
        assert ask(running.superuser_url, "SELECT 1") == 1
    finally:
        running.stop("immediate")


def test_an_odd_path_has_a_socket(tmp_path: Path) -> None:
    data_dir = tmp_path.parent / 'a "b" c\'s'
    running = start_cluster(data_dir)
    try:
        assert running.socket_url
        assert ask(running.socket_url, "SELECT 1") == 1
    finally:
        running.stop("immediate")
        shutil.rmtree(data_dir)


def test_the_systems_postgresql_works_too(data_dir: Path) -> None:
    installed = [found for found in binaries.system_binaries() if found.version < 17]
    if not installed:
        pytest.skip("no other PostgreSQL here")
    running = start_cluster(data_dir, binaries=installed[0])
    assert running.version == installed[0].version
    assert ask(running.superuser_url, "SELECT upper('é') = 'É' AND 'Z' < 'a'") is True
    assert ask(running.superuser_url, "SHOW wal_compression") in {"lz4", "pglz"}
    with pytest.raises(VersionMismatch):
        start_cluster(data_dir)


def fill(ballast: Path) -> None:
    """Write until not one page is left."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def start_on_full_disk(data_dir: Path, ballast: Path) -> None:
    """Start with less and less left: with two pages it recovers, crashes for want of a third, and does so for ever."""
    for free_pages in (2, 2, 1, 1, 0, 0, 0):
        fill(ballast)
        os.truncate(ballast, ballast.stat().st_size - 4096 * free_pages)
        # At once: an orderly end would wait for room to write its checkpoint.
        start_cluster(data_dir).stop("immediate")


def test_a_full_disk_is_named_at_creation_and_at_start(tmp_path: Path) -> None:
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", str(mount_point)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount a small disk")
    data_dir, ballast = mount_point / "db", mount_point / "ballast"
    try:
        ballast.write_bytes(bytes(70 << 20))
        with pytest.raises(DiskFull, match="MB are free"):
            start_cluster(data_dir)
        ballast.unlink()
        start_cluster(data_dir).stop()
        with pytest.raises(DiskFull, match="MB are free"):
            start_on_full_disk(data_dir, ballast)
        ballast.unlink()
        assert ask(start_cluster(data_dir).superuser_url, "SELECT 1") == 1
    finally:
        end(data_dir)
        subprocess.run(["umount", mount_point], check=True)


@needs_root
def test_root_where_others_may_enter_runs_it_as_another_user(open_folder: Path) -> None:
    running = start_cluster(open_folder / "db")
    if not all(folder.stat().st_mode & 1 for folder in running.bin_dir.parents):
        pytest.skip("the programs themselves lie where others may not enter")
    assert psutil.Process(running.pid).uids().real != 0
    assert stat.S_IMODE((open_folder / "db").stat().st_mode) == 0o701
    assert stat.S_IMODE((open_folder / "db" / "cluster").stat().st_mode) == 0o700
    # The folder is closed afterwards: the files follow the way it runs, there and back.
    ask(running.superuser_url, "CREATE TABLE kept AS SELECT 42 AS n")
    for mode, uid in ((0o700, 0), (0o755, psutil.Process(running.pid).uids().real)):
        running.stop()
        open_folder.chmod(mode)
        running = start_cluster(open_folder / "db")
        assert psutil.Process(running.pid).uids().real == uid
        assert ask(running.superuser_url, "SELECT n FROM kept") == 42


@needs_root
def test_root_where_others_may_not_enter_runs_it_without_capabilities(data_dir: Path) -> None:
    running = start_cluster(data_dir)
    status = Path(f"/proc/{running.pid}/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff"))
    assert int(effective.split()[1], 16) == 0
    assert Path(f"/proc/{running.pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()


@needs_root
@pytest.mark.parametrize("uid", [65534, 54321])
def test_an_ordinary_user_and_one_without_a_name_run_it_themselves(open_folder: Path, uid: int) -> None:
    open_folder.chmod(0o777)
    other = OtherProcess(open_folder / "db", uid)
    pid, owned, _, url = other.start()
    assert owned
    assert psutil.Process(pid).uids().real == uid
    assert ask(url, "SELECT 1") == 1
    assert other.finish() == 0
    assert not is_postmaster(pid)


def test_a_dump_restores_what_was_there(shared: RunningCluster, tmp_path: Path) -> None:
    ask(
        shared.superuser_url,
        "CREATE TABLE dumped AS SELECT g, '名' || g AS name FROM generate_series(1, 1000) g",
    )
    target = tmp_path / "carillon.dump"
    dump(find_binaries(), shared.superuser_url, target)
    ask(shared.superuser_url, "DELETE FROM dumped")
    restore_dump(find_binaries(), shared.superuser_url, target)
    assert ask(shared.superuser_url, "SELECT count(*) FROM dumped WHERE name = '名' || g") == 1000


def test_a_broken_dump_changes_nothing(shared: RunningCluster, tmp_path: Path) -> None:
    ask(shared.superuser_url, "CREATE TABLE untouched AS SELECT 42 AS n")
    target = tmp_path / "carillon.dump"
    dump(find_binaries(), shared.superuser_url, target)
    target.write_bytes(target.read_bytes()[:-200])
    with pytest.raises(RestoreFailed):
        restore_dump(find_binaries(), shared.superuser_url, target)
    assert ask(shared.superuser_url, "SELECT n FROM untouched") == 42
