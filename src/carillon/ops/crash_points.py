"""Named places where a test may kill this process, to prove that nothing is lost and nothing is done twice there.

`CARILLON_CRASH_AT=write.accepted:3` ends the process with SIGKILL the third time it reaches that place;
`CARILLON_FREEZE_AT` stops it there with SIGSTOP, with all that it holds. Nothing is armed otherwise, and passing a
place costs one comparison.
"""

import os
import signal

from carillon.kernel.errors import SetupError

POINTS = frozenset(
    {
        "lease.claimed",  # ours in the database, not opened yet
        "recover.committed",  # an earlier owner's messages taken over, not sent again yet
        "authorise.uncommitted",  # window (a) of DELIVERY: before the intent commits
        "authorise.committed",  # window (b): the intent is there, nothing is written
        "write.accepted",  # windows (c) and (d): the platform has it, we have noted nothing
        "settle.uncommitted",
        "settle.committed",
        "inbound.uncommitted",
        "inbound.committed",  # durable here, not acknowledged to the platform
        "webhook.uncommitted",
        "webhook.committed",  # stored, not answered
        "plan.uncommitted",
    }
)

_VARIABLES = {"CARILLON_CRASH_AT": signal.SIGKILL, "CARILLON_FREEZE_AT": signal.SIGSTOP}


def _armed() -> tuple[str, int, signal.Signals]:
    for variable, kind in _VARIABLES.items():
        point, _, count = os.environ.get(variable, "").partition(":")
        if point and point not in POINTS:
            raise SetupError(f"{variable} names no crash point: {point}. There are: {', '.join(sorted(POINTS))}.")
        if point:
            return point, int(count or 1), kind
    return "", 0, signal.SIGKILL


_point, _left, _signal = _armed()


def reached(point: str) -> None:
    """Die or freeze here if a test asked for it."""
    global _left  # noqa: PLW0603 - counts down to the process's own end
    if point != _point:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), _signal)
