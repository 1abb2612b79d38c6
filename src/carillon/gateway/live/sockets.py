"""One open WebSocket of the live feed: its queue, its permissions, its end."""

import asyncio
from dataclasses import dataclass, field

from carillon.kernel.subject import Subject

from .frames import Frame

# Close codes: 1001 and 1012 as registered by IANA, 4000 and above are ours.
RESTARTING = 1012
REVOKED = 4401
TOO_SLOW = 4408


@dataclass(eq=False, slots=True)
class Socket:
    """What the hub knows of a connection.

    Attributes:
        subject: Whom it is bound to; replaced when the permissions change.
        queue: Texts that wait for the network; bounded, so that a slow reader costs bounded memory.
        close_code: Why we end it; the writer sees it at its next step.
    """

    subject: Subject
    queue: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(256))
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    close_code: int = 1000

    def push(self, frame: Frame) -> None:
        """Hand it a frame if its subject may see it; a full queue ends the socket instead of blocking others."""
        if self.subject.may(frame.permission):
            self.push_text(frame.text)

    def push_text(self, text: str) -> None:
        """Hand it a text."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.close(TOO_SLOW)

    def close(self, code: int) -> None:
        """End it; the first reason stands."""
        if not self.closing.is_set():
            self.close_code = code
            self.closing.set()
