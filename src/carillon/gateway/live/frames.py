"""What travels over the live WebSocket, and the ring that remembers it for those who come back."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import orjson

from carillon.kernel.permissions import Permission


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it is pushed.

    Attributes:
        seq: Its number within the tenant's topic, from 1, without gaps.
        permission: What a socket's subject needs to see it.
        text: The JSON.
    """

    seq: int
    permission: Permission
    text: str


def event_text(seq: int, row: dict[str, Any]) -> str:
    """An event's JSON: `{"seq", "type", "id", "subject_id", "at", "data"}`."""
    return orjson.dumps(
        {
            "seq": seq,
            "type": row["type"],
            # The driver's own UUID class is unknown to orjson.
            "id": str(row["id"]),
            "subject_id": str(row["subject_id"]) if row["subject_id"] else None,
            "at": row["occurred_at"],
            "data": row["payload"],
        }
    ).decode()


def hello_text(epoch: str, seq: int, *, reset: bool) -> str:
    """The first frame of every socket; `reset` tells the client that it missed something and must load anew."""
    return orjson.dumps({"type": "hello", "epoch": epoch, "seq": seq, "reset": reset}).decode()


HEARTBEAT = orjson.dumps({"type": "heartbeat"}).decode()


class Ring:
    """The last frames of a topic."""

    def __init__(self, size: int) -> None:
        """Create an empty ring of so many frames."""
        self._frames: deque[Frame] = deque(maxlen=size)
        self.seq = 0

    def push(self, row: dict[str, Any], permission: Permission) -> Frame:
        """Number an event and remember it."""
        self.seq += 1
        frame = Frame(self.seq, permission, event_text(self.seq, row))
        self._frames.append(frame)
        return frame

    def since(self, seq: int) -> list[Frame] | None:
        """The frames after this number, or None if some of them are forgotten or never were."""
        if seq > self.seq or seq < self.seq - len(self._frames):
            return None
        return [frame for frame in self._frames if frame.seq > seq]
