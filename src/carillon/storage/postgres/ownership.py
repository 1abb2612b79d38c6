"""Which process owns a cluster, that is, may stop it.

The owner holds a lock as long as it lives. When it is killed the server stays, and the next process that
starts the cluster adopts it. Ownership belongs to the process, not to one handle in it.
"""

import os
from pathlib import Path

from carillon.storage.locks import FileLock

from .layout import Layout

_owned: dict[Path, FileLock] = {}


def become_owner(layout: Layout) -> bool:
    """Own the cluster, unless another living process does."""
    if is_owner(layout):
        return True
    lock = FileLock.try_take(layout.owner_lock)
    if lock is None:
        return False
    # Only for people who wonder who the owner is.
    os.ftruncate(lock.descriptor, 0)
    os.pwrite(lock.descriptor, f"{os.getpid()}\n".encode(), 0)
    _owned[layout.root] = lock
    return True


def is_owner(layout: Layout) -> bool:
    """Whether this process owns the cluster."""
    return layout.root in _owned


def give_up(layout: Layout) -> None:
    """Stop owning the cluster."""
    if lock := _owned.pop(layout.root, None):
        lock.let_go()


# A forked child is another process; its copy of the descriptor is closed where the locks are.
os.register_at_fork(after_in_child=_owned.clear)
