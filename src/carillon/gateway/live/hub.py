"""Keeps one topic per tenant that has a screen open, and wakes them when the store gains events."""

import asyncio
import contextlib
from collections.abc import Mapping
from uuid import UUID

import asyncpg
import structlog

from carillon.events.outbox import CHANNEL
from carillon.gateway.context import Authenticator
from carillon.gateway.errors import TicketInvalid
from carillon.kernel.errors import Unavailable
from carillon.kernel.permissions import Permission
from carillon.kernel.subject import Subject
from carillon.ops.metrics import LIVE_DROPPED, LIVE_SOCKETS
from carillon.storage.resources import Resources

from . import tickets
from .progress import Coalescer
from .sockets import RESTARTING, REVOKED, Socket
from .tail import Tail
from .topic import Topic

_log = structlog.get_logger(__name__)
_PROGRESS_EVERY = 0.5
_REVIEW_EVERY = 4.0
# Without a wake-up: a lost notification, or an event that a longer transaction still hides.
_LOOK_EVERY = 1.0
_HIDDEN_EVERY = 0.1
_HIDDEN_LOOKS = 10
_KEEP_IDLE = 60.0


class Hub:
    """The live feed of one process: `run` it beside the server, `join` it per socket, `close` it before draining."""

    def __init__(
        self,
        resources: Resources,
        authenticator: Authenticator,
        permissions: Mapping[str, Permission],
        coalesced: frozenset[str] = frozenset(),
    ) -> None:
        """Create it.

        Args:
            resources: The process's parts.
            authenticator: Asked whether credentials still stand.
            permissions: By prefix of the event type, what a subject needs to see it; others are seen by nobody.
            coalesced: Event types of which only the latest per subject matters.
        """
        self._resources = resources
        self._authenticator = authenticator
        self._permissions = permissions
        self._coalesced = coalesced
        self._topics: dict[UUID, Topic] = {}
        self._opening: dict[UUID, asyncio.Lock] = {}
        self._tail = Tail(resources.database)
        self._woken = asyncio.Event()
        self._left = asyncio.Event()
        self._closed = False

    async def redeem(self, ticket: str) -> Subject:
        """Whose ticket this is, with its present permissions.

        Raises:
            TicketInvalid: It is unknown, used, too old, or its credential was revoked meanwhile.
        """
        present = await self._authenticator.review(await tickets.redeem(ticket, self._resources))
        if present is None:
            raise TicketInvalid
        return present

    async def join(self, socket: Socket, since: int | None, epoch: str | None) -> None:
        """Let a socket in: it gets its greeting, what it missed, and everything from now on."""
        if self._closed:
            socket.close(RESTARTING)
            return
        topic = await self._topic(socket.subject.tenant_id)
        topic.join(socket, since, epoch)
        LIVE_SOCKETS.inc()
        self._woken.set()

    def leave(self, socket: Socket) -> None:
        """A socket is gone."""
        topic = self._topics.get(socket.subject.tenant_id)
        if topic is not None and socket in topic.sockets:
            topic.sockets.discard(socket)
            topic.idle_since = self._resources.clock.boottime()
            LIVE_SOCKETS.dec()
            self._left.set()

    async def close(self, within: float = 5.0) -> None:
        """End every socket, so that clients come back to another process; waits until they have said so."""
        self._closed = True
        for topic in self._topics.values():
            for socket in topic.sockets:
                socket.close(RESTARTING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while any(topic.sockets for topic in self._topics.values()):
                    self._left.clear()
                    await self._left.wait()

    async def run(self) -> None:
        """Listen, read and review until cancelled; a bug in it is logged and the feed goes on."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._listen())
                    tasks.create_task(self._pump())
                    tasks.create_task(self._review())
            except* Exception as errors:  # noqa: BLE001 - screens must not freeze for ever
                _log.error("the live feed failed and starts again", exc_info=errors)
            await asyncio.sleep(_LOOK_EVERY)

    async def _topic(self, tenant_id: UUID) -> Topic:
        async with self._opening.setdefault(tenant_id, asyncio.Lock()):
            if tenant_id not in self._topics:
                place = await self._tail.start(tenant_id)
                now = self._resources.clock.boottime
                coalescer = Coalescer(self._coalesced, _PROGRESS_EVERY, now)
                self._topics[tenant_id] = Topic(tenant_id, place, self._permissions, coalescer, now)
            return self._topics[tenant_id]

    async def _pump(self) -> None:
        looks = 0
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _HIDDEN_EVERY if looks else _LOOK_EVERY)
            # Told of an event that cannot be read yet: an older transaction still runs. Look often, for a second.
            looks = _HIDDEN_LOOKS if self._woken.is_set() else max(0, looks - 1)
            self._woken.clear()
            if await self._advance():
                looks = 0

    async def _advance(self) -> bool:
        """Read every topic; returns whether any gained something."""
        gained = False
        for topic in list(self._topics.values()):
            if not topic.sockets and self._resources.clock.boottime() - topic.idle_since > _KEEP_IDLE:
                del self._topics[topic.tenant_id]
                self._opening.pop(topic.tenant_id, None)
                continue
            try:
                while await topic.advance(self._tail):
                    gained = True
            except Unavailable as error:
                _log.warning("the live feed cannot read the store", reason=error.code)
        return gained

    async def _listen(self) -> None:
        """Hold the connection that hears of new events; without it the feed still looks every second."""
        while True:
            try:
                connection = await asyncpg.connect(self._resources.database.url, timeout=10)
                try:
                    ended = asyncio.Event()
                    connection.add_termination_listener(lambda _connection: ended.set())  # noqa: B023
                    await connection.add_listener(CHANNEL, lambda *_notification: self._woken.set())
                    self._woken.set()
                    await ended.wait()
                finally:
                    await connection.close(timeout=5)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("the live feed does not hear of events", reason=type(error).__name__)
            await asyncio.sleep(_LOOK_EVERY)

    async def _review(self) -> None:
        """Ask every few seconds whether each credential still stands, once for all its sockets."""
        while True:
            await self._resources.clock.sleep(_REVIEW_EVERY)
            for subject in {socket.subject for topic in self._topics.values() for socket in topic.sockets}:
                await self._review_one(subject)

    async def _review_one(self, subject: Subject) -> None:
        try:
            present = await self._authenticator.review(subject)
        except Unavailable as error:
            _log.warning("credentials of live sockets could not be reviewed", reason=error.code)
            return
        topic = self._topics.get(subject.tenant_id)
        for socket in [socket for socket in (topic.sockets if topic else ()) if socket.subject == subject]:
            if present is None:
                LIVE_DROPPED.labels("revoked").inc()
                socket.close(REVOKED)
            else:
                socket.subject = present
