"""Locks that fall with their holder."""

import os
import subprocess
from pathlib import Path

from carillon.storage.locks import FileLock
from carillon.storage.postgres.layout import Layout
from carillon.storage.postgres.ownership import become_owner, give_up, is_owner


def test_only_one_holds_a_lock(tmp_path: Path) -> None:
    with FileLock.take(tmp_path / "lock"):
        assert FileLock.try_take(tmp_path / "lock") is None
    again = FileLock.try_take(tmp_path / "lock")
    assert again is not None
    again.let_go()
    again.let_go()


def test_a_forgotten_lock_falls(tmp_path: Path) -> None:
    lock = FileLock.try_take(tmp_path / "lock")
    assert lock is not None
    del lock
    assert FileLock.try_take(tmp_path / "lock") is not None


def test_a_child_that_was_handed_the_descriptor_holds_the_lock(tmp_path: Path) -> None:
    with FileLock.take(tmp_path / "lock") as lock:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock.descriptor,))
    assert FileLock.try_take(tmp_path / "lock") is None
    child.communicate()
    assert FileLock.try_take(tmp_path / "lock") is not None


def test_other_children_do_not(tmp_path: Path) -> None:
    with FileLock.take(tmp_path / "lock"):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    assert FileLock.try_take(tmp_path / "lock") is not None
    child.communicate()


def test_a_forked_child_neither_holds_nor_owns(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert become_owner(layout)
    child = os.fork()
    if child == 0:
        # Owning here too would keep a dead parent's cluster from being adopted.
        os._exit(10 + is_owner(layout) * 1 + become_owner(layout) * 2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 10
    assert is_owner(layout)
    give_up(layout)
    assert not is_owner(layout)


def test_a_lock_falls_with_its_process_though_a_forked_child_lives_on(tmp_path: Path) -> None:
    lock = FileLock.take(tmp_path / "lock")
    (heard, say), (told, tell) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(say, b"here")
        os.read(told, 1)
        os._exit(0)
    os.read(heard, 4)
    lock.let_go()
    again = FileLock.try_take(tmp_path / "lock")
    os.write(tell, b"x")
    os.waitpid(child, 0)
    for descriptor in (heard, say, told, tell):
        os.close(descriptor)
    assert again is not None


def test_the_owner_is_the_process_and_is_written_down(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert become_owner(layout)
    assert become_owner(layout)
    assert layout.owner_lock.read_text() == f"{os.getpid()}\n"
    give_up(layout)
    other = FileLock.try_take(layout.owner_lock)
    assert other is not None
    assert not become_owner(layout)
    other.let_go()
