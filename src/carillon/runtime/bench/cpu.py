"""Who used the processor: ours or PostgreSQL, whole process trees of both, those that ended meanwhile included."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

_TRIES = 5


def cpu_seconds(pid: int, *, without: Iterable[int] = ()) -> float:
    """Processor seconds that a process and all it ever started have used, user and system.

    A process that has ended counts through the parent that reaped it, so the sum does not shrink while the root lives.

    Args:
        pid: Root of the tree; a process that is gone counts 0.
        without: Roots of subtrees to leave out (PostgreSQL below us).
    """
    left_out = frozenset(without)
    seconds = 0.0
    for _ in range(_TRIES):
        before = _reaped(pid)
        seconds = _sum(pid, left_out)
        # A child that is reaped between reading it and reading its parent would count twice or not at all.
        if _reaped(pid) == before:
            break
    return seconds


def _reaped(pid: int) -> float:
    with suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return times.children_user + times.children_system
    return 0.0


def _sum(pid: int, without: frozenset[int]) -> float:
    if pid in without:
        return 0.0
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        children = [child.pid for child in process.children()]
    except psutil.Error:
        return 0.0
    own = times.user + times.system + times.children_user + times.children_system
    return own + sum(_sum(child, without) for child in children)


@dataclass(slots=True)
class CpuSplit:
    """Processor seconds used inside a `cpu_split` block; filled in when it ends.

    Attributes:
        client_seconds: This process and its children, without PostgreSQL.
        postgresql_seconds: The postmaster, its backends and background workers.
    """

    client_seconds: float = 0.0
    postgresql_seconds: float = 0.0

    def per_thousand(self, count: int) -> Mapping[str, float]:
        """Milliseconds for each thousand of `count` things: `{"client": …, "postgresql": …}`."""
        return {
            "client": round(self.client_seconds * 1e6 / count, 1),
            "postgresql": round(self.postgresql_seconds * 1e6 / count, 1),
        }


@contextmanager
def cpu_split(
    postmaster_pid: int, *, ours: Iterable[int] | None = None, leaving_out: Iterable[int] = ()
) -> Iterator[CpuSplit]:
    """Measure who uses the processor while the block runs.

    ```python
    with cpu_split(on.postmaster) as cpu:
        await work()
    result(..., cpu_ms_per_thousand=cpu.per_thousand(count))
    ```

    Args:
        postmaster_pid: Root of PostgreSQL's processes (`Stage.postmaster`).
        ours: Roots of the processes that count as ours; this one and its children when left out.
        leaving_out: Children that do not count as ours: load makers, sinks.
    """
    apart = (postmaster_pid, *leaving_out)
    roots = tuple(ours) if ours is not None else (os.getpid(),)

    def client() -> float:
        return sum(cpu_seconds(pid, without=apart) for pid in roots)

    before = client(), cpu_seconds(postmaster_pid)
    split = CpuSplit()
    try:
        yield split
    finally:
        split.client_seconds = max(0.0, client() - before[0])
        split.postgresql_seconds = max(0.0, cpu_seconds(postmaster_pid) - before[1])
