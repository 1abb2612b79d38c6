"""Identifiers: UUIDv7 (RFC 9562), so that new rows land at the end of every index.

The 48 bits of milliseconds and 12 bits of sub-millisecond (method 3 of section 6.2) form one counter that never
stands still within a process; the other 62 bits are random and drawn in blocks, since asking the system for eight
bytes costs more than all the rest.
"""

import os
import struct
import threading
import time
from uuid import UUID, SafeUUID

_BLOCK = 512
_VARIANT = 0b10 << 62
_unpack = struct.Struct(f"={_BLOCK}Q").unpack
_new = object.__new__
# UUID forbids assignment and its constructor checks what is known to be right here: that is half of its cost.
_set = object.__setattr__
_UNKNOWN = SafeUUID.unknown

_lock = threading.Lock()
_last = 0
_tails: list[int] = []


def uuid7() -> UUID:
    """A new time-ordered id, strictly increasing within this process."""
    global _last  # noqa: PLW0603 - the order within one process is the point
    with _lock:
        tick = (time.time_ns() << 12) // 1_000_000
        if tick <= _last:
            tick = _last + 1
        _last = tick
        if not _tails:
            _refill()
        tail = _tails.pop()
    return _made(tick, tail)


def uuid7s(count: int) -> list[UUID]:
    """So many new ids, each greater than the one before and than all made before in this process."""
    global _last  # noqa: PLW0603 - see uuid7
    with _lock:
        first = max((time.time_ns() << 12) // 1_000_000, _last + 1)
        _last = max(_last, first + count - 1)
        while len(_tails) < count:
            _refill()
        cut = len(_tails) - count
        tails = _tails[cut:]
        del _tails[cut:]
    return [_made(tick, tail) for tick, tail in enumerate(tails, first)]


def _made(tick: int, tail: int) -> UUID:
    made = _new(UUID)
    _set(made, "int", ((tick >> 12) << 16 | 0x7000 | tick & 0xFFF) << 64 | tail)
    _set(made, "is_safe", _UNKNOWN)
    return made


def _refill() -> None:
    _tails.extend([number >> 2 | _VARIANT for number in _unpack(os.urandom(8 * _BLOCK))])


def _forget() -> None:
    """In a forked child: the parent will use what is left of the block."""
    global _lock  # noqa: PLW0603 - it may have been held by a thread that is not there any more
    _lock = threading.Lock()
    _tails.clear()


os.register_at_fork(after_in_child=_forget)
