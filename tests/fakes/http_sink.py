"""A tenant's own HTTP server with a ledger of what it took, and moods in which it answers badly."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, auto

import orjson

from carillon.platforms.connectors.custom_http.signature import is_signed
from carillon.platforms.connectors.simulator.state import Entry
from tests.conformance.connectors.http_channel import Reply, TinyServer, reply


class Mood(Enum):
    """How a request is answered."""

    WELL = auto()
    REFUSES = auto()  # 500, and nothing was taken
    TAKES_AND_FAILS = auto()  # taken, and answered 500
    TAKES_AND_BREAKS_OFF = auto()  # taken, and the connection breaks
    TAKES_AND_TALKS_NONSENSE = auto()  # taken, and answered with something that is no answer


class HttpSink:
    """Checks every signature and keeps what it takes; with `deduplicates` it honours `Idempotency-Key`."""

    def __init__(self, secret: bytes, *, deduplicates: bool) -> None:
        self.secret = secret
        self.deduplicates = deduplicates
        self.mood: Callable[[], Mood] = lambda: Mood.WELL
        self.taken: dict[str, list[Entry]] = {}
        self.forged = 0
        self.server = TinyServer(self._answer)
        self.address = ""

    def _answer(self, headers: dict[str, str], body: bytes) -> Reply:
        # Its clock may be hours off ours: the time is part of what is signed, and believed.
        signed_at = datetime.fromtimestamp(int(headers.get("carillon-signature", "t=0").split(",")[0][2:]), UTC)
        if not is_signed(self.secret, headers, body, now=signed_at):
            self.forged += 1
            return reply(401)
        mood = self.mood()
        if mood is Mood.REFUSES:
            return reply(500, b"Internal Server Error")
        platform_id = self._take(orjson.loads(body))
        if mood is Mood.TAKES_AND_BREAKS_OFF:
            return None
        if mood is Mood.TAKES_AND_FAILS:
            return reply(500, b"Internal Server Error")
        if mood is Mood.TAKES_AND_TALKS_NONSENSE:
            return reply(200, b"\xff\xfe<html>maintenance</html>")
        return reply(200, orjson.dumps({"id": platform_id}))

    def _take(self, message: dict[str, str]) -> str:
        copies = self.taken.setdefault(message["id"], [])
        platform_id = f"{message['id']}.{len(copies)}"
        if copies and self.deduplicates:
            return copies[0].platform_id
        key = int(message["key"])
        fields = (time.time(), "custom", "shop", message["peer"], key, message["id"], platform_id, message["text"])
        copies.append(Entry(*fields))
        return platform_id

    def ledger(self) -> dict[str, tuple[Entry, ...]]:
        """The accepted copies by message id."""
        return {name: tuple(copies) for name, copies in self.taken.items()}
