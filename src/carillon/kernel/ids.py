"""Identifiers: UUIDv7 (RFC 9562), so that new rows land at the end of every index."""

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """A new time-ordered id, strictly increasing within this process."""
    global _last  # noqa: PLW0603 - the order within one process is the point
    with _lock:
        # 48 bits of milliseconds and 12 bits of sub-millisecond (RFC 9562, method 3).
        tick = max((time.time_ns() << 12) // 1_000_000, _last + 1)
        _last = tick
    value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62
    return UUID(int=value | int.from_bytes(os.urandom(8)) >> 2)
