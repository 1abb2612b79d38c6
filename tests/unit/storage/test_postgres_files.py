"""What is read from and written to the data folder."""

import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from carillon.storage.postgres import (
    Binaries,
    ClusterFailed,
    DiskFull,
    NoAccount,
    NotACluster,
    PasswordLost,
    VersionMismatch,
    account,
    find_binaries,
)
from carillon.storage.postgres.creation import cluster_exists, locale_arguments
from carillon.storage.postgres.diagnosis import explain_failure, prune_logs, reporting_failed_writes
from carillon.storage.postgres.layout import Layout, write_file
from carillon.storage.postgres.process import find_server, remove_stale_files, socket_dir
from carillon.storage.postgres.settings import server_settings

BINARIES = Binaries(Path("/usr/bin"), 18)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A data folder with what looks like a whole cluster."""
    found = Layout(tmp_path)
    (found.cluster / "global").mkdir(parents=True)
    (found.cluster / "global" / "pg_control").touch()
    (found.cluster / "PG_VERSION").write_text("18\n")
    found.password.write_text("secret\n")
    return found


def test_a_whole_cluster_is_recognised(layout: Layout, tmp_path: Path) -> None:
    assert cluster_exists(layout, BINARIES)
    assert not cluster_exists(Layout(tmp_path / "other"), BINARIES)


def test_an_empty_folder_is_no_cluster_and_goes(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.cluster.mkdir()
    assert not cluster_exists(layout, BINARIES)
    assert not layout.cluster.exists()


@pytest.mark.parametrize("missing", ["PG_VERSION", "global/pg_control"])
def test_a_broken_cluster_is_refused_and_kept(layout: Layout, missing: str) -> None:
    (layout.cluster / missing).unlink()
    with pytest.raises(NotACluster):
        cluster_exists(layout, BINARIES)
    assert (layout.cluster / "global").is_dir()


def test_another_version_is_refused_by_name(layout: Layout) -> None:
    (layout.cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(VersionMismatch, match="made by PostgreSQL 15") as caught:
        cluster_exists(layout, BINARIES)
    assert caught.value.data == {"made_by": "15", "found": 18}


def test_a_lost_password_is_refused(layout: Layout) -> None:
    layout.password.unlink()
    with pytest.raises(PasswordLost):
        cluster_exists(layout, BINARIES)


def test_a_pid_file_of_a_stranger_is_seen_through_and_removed(layout: Layout) -> None:
    layout.pid_file.write_text(f"{os.getpid()}\n{layout.cluster}\n1\n5432\n\n127.0.0.1\n\nready\n")
    (layout.cluster / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    assert find_server(layout) is None
    remove_stale_files(layout)
    assert not layout.pid_file.exists()
    assert list(layout.cluster.glob(".s*")) == []


def test_the_pid_file_of_the_dead_is_left_to_postgresql(layout: Layout) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    layout.pid_file.write_text(f"{child.pid}\n")
    assert find_server(layout) is None
    remove_stale_files(layout)
    assert layout.pid_file.exists()


@pytest.mark.parametrize(
    ("text", "port", "ready"),
    [
        ("{pid}\n", 0, False),
        ("{pid}\n/x\n1\n5432\n/s\n127.0.0.1\n  1 2\nstarting\n", 5432, False),
        ("{pid}\n/x\n1\n5432\n/s\n127.0.0.1\n  1 2\nready   \n", 5432, True),
    ],
)
def test_a_pid_file_is_read_at_every_stage(layout: Layout, text: str, port: int, ready: bool) -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=layout.cluster)
    layout.pid_file.write_text(text.format(pid=child.pid))
    server = find_server(layout)
    child.communicate()
    assert server is not None
    assert (server.pid, server.port, server.ready) == (child.pid, port, ready)
    assert find_server(layout) is None


@pytest.mark.parametrize("text", ["", "\n", "rubbish\n", "-1\n"])
def test_a_pid_file_without_a_number_names_nobody(layout: Layout, text: str) -> None:
    layout.pid_file.write_text(text)
    assert find_server(layout) is None


def test_a_path_that_does_not_do_for_a_socket_goes_without() -> None:
    assert socket_dir(Layout(Path("/data")), 5432) == Path("/data/cluster")
    assert socket_dir(Layout(Path("/" + "d" * 90)), 5432) is None
    assert socket_dir(Layout(Path("/" + "名" * 30)), 5432) is None
    assert socket_dir(Layout(Path("/a,b")), 5432) is None


def test_writing_replaces_and_never_follows_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "file").symlink_to(victim)
    write_file(tmp_path / "file", "new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "file").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_the_locale_knows_unicode_in_every_version() -> None:
    assert "--builtin-locale=C.UTF-8" in locale_arguments(17)
    assert "--locale-provider=builtin" not in locale_arguments(16)
    assert all("--locale=C.UTF-8" in locale_arguments(version) for version in (15, 18))


def test_a_full_disk_is_named_with_what_is_left(tmp_path: Path) -> None:
    output = 'FATAL:  could not write to file "pg_wal/xlogtemp.7": No space left on device\n'
    error = explain_failure("It failed.", output, tmp_path)
    assert isinstance(error, DiskFull)
    assert "MB are free" in str(error)
    assert error.data["free_bytes"] > 0


def test_our_own_failed_writes_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DiskFull), reporting_failed_writes(tmp_path / "not" / "yet"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ClusterFailed, match=r"Permission denied.*CARILLON_DATA"), reporting_failed_writes(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    with pytest.raises(ConnectionResetError), reporting_failed_writes(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset")


def test_any_other_failure_shows_the_last_words(tmp_path: Path) -> None:
    error = explain_failure("It failed.", "\n".join(f"line {n}" for n in range(50)), tmp_path)
    assert isinstance(error, ClusterFailed)
    assert str(error).splitlines()[:2] == ["It failed.", "line 38"]
    assert str(error).endswith("line 49")


def test_only_the_newest_logs_stay(layout: Layout) -> None:
    layout.logs.mkdir()
    for day in range(10, 19):
        (layout.logs / f"postgresql-202601{day}-000000.log").touch()
    prune_logs(layout)
    assert sorted(file.name[17:19] for file in layout.logs.iterdir()) == ["14", "15", "16", "17", "18"]


def test_the_settings_are_durable_and_private() -> None:
    lines = server_settings(find_binaries()).splitlines()
    assert {"fsync = 'on'", "synchronous_commit = 'on'", "full_page_writes = 'on'"} <= set(lines)
    assert "log_error_verbosity = 'terse'" in lines


def test_root_without_any_way_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "data").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "_namespace_account", lambda own, binaries: None)
    with pytest.raises(NoAccount, match=r"CARILLON_DATA .*CARILLON_DATABASE_URL") as caught:
        account.choose_account(closed / "data", find_binaries())
    assert str(closed) in str(caught.value)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_wrapper_that_is_not_permitted_is_no_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: str(refusing))
    assert account._namespace_account((0, 0), find_binaries()) is None
