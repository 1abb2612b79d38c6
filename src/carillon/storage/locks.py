"""Locks on files that the kernel drops when their last holder dies, however it dies."""

import fcntl
import os
import weakref
from pathlib import Path
from typing import Self


class FileLock:
    """An exclusive `flock` on a file.

    It belongs to the open file, not to a process number: a reused number or a changed clock cannot confuse
    it, and a child that inherits the descriptor holds it too. Children made by a bare fork drop it at once.
    """

    def __init__(self, descriptor: int) -> None:
        """Wrap a descriptor that is locked already; use `take` or `try_take`."""
        self._descriptor: int | None = descriptor
        _held.add(self)

    @classmethod
    def take(cls, path: Path) -> "FileLock":
        """Wait for the lock."""
        descriptor = _open(path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return cls(descriptor)

    @classmethod
    def try_take(cls, path: Path) -> "FileLock | None":
        """The lock, or None when somebody holds it."""
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    @property
    def descriptor(self) -> int:
        """The open descriptor, to hand to a child."""
        if self._descriptor is None:
            raise ValueError("the lock was let go")
        return self._descriptor

    def let_go(self) -> None:
        """Close our descriptor; the lock is free unless a child still has it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def __del__(self) -> None:
        self.let_go()


_held: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _drop_in_child() -> None:
    # A forked worker must not keep a dead owner's lock alive. (subprocess closes them itself, on exec.)
    for lock in list(_held):
        lock.let_go()


os.register_at_fork(after_in_child=_drop_in_child)
