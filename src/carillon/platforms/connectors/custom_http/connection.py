"""One HTTP/1.1 connection: one request at a time, and certainty about what became of it."""

import asyncio
import math
from typing import Protocol, cast

from .answer import Answer, AnswerLost, AnswerReader, BadAnswer, NotConnected

MAX_REQUESTS = 10_000
"""Requests on one connection: a new one finds its way to servers that were added meanwhile."""


class Owner(Protocol):
    """What a connection needs of its pool."""

    def free(self, connection: "Connection") -> None:
        """It may carry another request."""
        ...

    def lost(self, connection: "Connection") -> None:
        """It has ended."""
        ...


class Connection(asyncio.Protocol):
    """Our end.

    Attributes:
        until: When it ends, by the pool's clock: the request is late, or it has been idle too long.
    """

    __slots__ = ("_owner", "_reader", "_served", "_transport", "_waiting", "until")

    def __init__(self, owner: Owner) -> None:
        """Create it for `create_connection`."""
        self.until = math.inf
        self._owner = owner
        self._reader = AnswerReader()
        self._served = 0
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None

    @property
    def usable(self) -> bool:
        """It is open, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes, until: float) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            NotConnected: The connection was closed before anything was written.
            AnswerLost: It was written, perhaps in vain. Also on a connection that served before and that the server
                closed while we wrote: whether it read the request first cannot be known.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise NotConnected
        self._reader.expect()
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self.until = until
        self._served += 1
        transport.write(request)
        try:
            return await waiting
        except asyncio.CancelledError:
            # An answer nobody waits for must not meet the next request.
            self.abort()
            raise

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # Not isinstance: uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; what is no answer ends the connection."""
        try:
            answer = self._reader.feed(data)
        except BadAnswer:
            self.abort()
            return
        if answer is not None:
            self._answered(answer)

    def eof_received(self) -> None:
        """The server has said all it will; the transport closes itself."""
        answer = self._reader.end()
        if answer is not None:
            self._answered(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Whoever still waits will get no answer."""
        self._transport = None
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(AnswerLost())
        self._owner.lost(self)

    def _answered(self, answer: Answer) -> None:
        transport, waiting = self._transport, self._waiting
        self._waiting = None
        if waiting is None or waiting.done() or transport is None:
            self.abort()
            return
        waiting.set_result(answer)
        # An answer before the whole request was written leaves the connection in the middle of it.
        if self._reader.reusable and self._served < MAX_REQUESTS and not transport.get_write_buffer_size():
            self._owner.free(self)
        else:
            transport.abort()
