"""The connections to one address: kept while they are fresh, as many as are needed, closed without fail."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

import structlog

from carillon.kernel.clock import Clock

from .answer import NotConnected
from .connection import Connection

log = structlog.get_logger(__name__)

SIZE = 64
"""Connections at once."""
IDLE_SECONDS = 4.0
"""How long an idle one is kept: less than the 5 s after which common servers close it, since one that closes while we
write makes an outcome that nobody knows."""

Dial = Callable[[Callable[[], Connection]], Awaitable[Connection]]


class Pool:
    """Connections to one address.

    One timer looks after all of them; there is none per request.
    """

    def __init__(self, dial: Dial, *, clock: Clock, connect_seconds: float, sweep_seconds: float) -> None:
        """Create it, empty.

        Args:
            dial: Makes a connection, given what creates our end; raises OSError.
            clock: Times requests and idleness.
            connect_seconds: For making one.
            sweep_seconds: How late a request may be ended.
        """
        self._dial = dial
        self._clock = clock
        self._connect_seconds = connect_seconds
        self._sweep_seconds = sweep_seconds
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._dialling: set[asyncio.Task[None]] = set()
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._retired = False
        self._dead = False

    @property
    def dead(self) -> bool:
        """The last attempt to connect failed, and no connection is left: try another address."""
        return self._dead and not self._open

    @property
    def empty(self) -> bool:
        """Nothing is open or being opened."""
        return not self._open and not self._dialling

    def take(self, now: float) -> Connection | None:
        """An idle connection, the one used last: the least likely to have been closed by the server meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.until >= now:
                return connection
            connection.abort()
        return None

    async def wait(self) -> Connection:
        """The next connection that is free or made.

        A caller who gives up does not stop it from being made: the next one finds it.

        Raises:
            NotConnected: None can be had.
        """
        idle = self.take(self._clock.boottime())
        if idle is not None:
            return idle
        if self._retired:
            raise NotConnected
        waiting: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._grow()
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif not waiting.cancelled() and waiting.exception() is None:
                self.free(waiting.result())
            raise

    def free(self, connection: Connection) -> None:
        """See `connection.Owner`."""
        if self._retired:
            connection.abort()
            return
        connection.until = self._clock.boottime() + IDLE_SECONDS
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """See `connection.Owner`."""
        if connection in self._open:
            self._open.remove(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._grow()

    def retire(self) -> None:
        """Take no more requests; those under way come to their end."""
        self._retired = True
        for task in self._dialling:
            task.cancel()
        while self._idle:
            self._idle.pop().abort()
        self._fail_waiting()

    async def close(self) -> None:
        """Close every connection at once; requests under way end as `AnswerLost`."""
        self.retire()
        for connection in list(self._open):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await asyncio.gather(*self._dialling, return_exceptions=True)

    def _grow(self) -> None:
        """Make a connection for each who waits, up to `SIZE`."""
        while len(self._dialling) < len(self._waiting) and len(self._open) + len(self._dialling) < SIZE:
            task = asyncio.create_task(self._connect())
            self._dialling.add(task)

    async def _connect(self) -> None:
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self._connect_seconds):
                connection = await self._dial(lambda: Connection(self))
        except OSError as error:
            log.info("custom_http_unreachable", error=type(error).__name__)
        finally:
            self._dialling.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        if connection is None or not connection.usable:  # not made, or closed as soon as it was
            self._failed()
            return
        self._dead = False
        self._open.add(connection)
        self._watch()
        self.free(connection)

    def _failed(self) -> None:
        self._dead = True
        # As long as any other connection lives or is being made, those who wait may still be served.
        if not self._open and not self._dialling:
            self._fail_waiting()

    def _fail_waiting(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(NotConnected())

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._sweep_seconds, self._sweep)

    def _sweep(self) -> None:
        """End what is late or idle too long; as long as anything is open, come again."""
        self._timer = None
        now = self._clock.boottime()
        for connection in list(self._open):
            if connection.until < now:
                connection.abort()
        if self._open:
            self._watch()
