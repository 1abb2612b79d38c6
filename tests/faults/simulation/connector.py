"""Our end of the platform: a connector whose network delays, loses, hangs and lies."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from carillon.kernel.errors import CarillonError
from carillon.platforms.connectors.errors import (
    AccountError,
    BadWebhook,
    LeaseLost,
    NotSent,
    SendError,
    Uncertain,
)
from carillon.platforms.connectors.port import (
    Accepted,
    AccountConfig,
    AccountState,
    Capabilities,
    InboundMessage,
    Limits,
    Outbound,
    Rate,
    Status,
    StatusUpdate,
    Update,
    UpdateSink,
)

from .loop import Process, current
from .nemesis import SendFate
from .platform import PlatformAccount

if TYPE_CHECKING:
    from .world import World


_STATUS = ("status", "at", "message_id", "platform_id", "error_class", "error_text")


class SimConnector:
    """See `Connector` and `WebhookReceiver`."""

    def __init__(self, world: "World", name: str, *, deduplicates: bool) -> None:
        self.name = name
        self.capabilities = Capabilities(deduplicates=deduplicates)
        self._world = world

    def limits(self, account: AccountConfig) -> Limits:
        people = self._world.rules.people_a_day
        return Limits(account=Rate(20, 1.0, 20), peer=Rate(2, 1.0, 2), daily_unique=people)

    async def open(self, account: AccountConfig, sink: UpdateSink) -> "SimSession":
        world, process = self._world, current()
        freezes = process.freezes
        await asyncio.sleep(world.nemesis.draw.uniform(0.01, 0.3))
        if process.no_platform:
            await asyncio.sleep(world.nemesis.draw.choice((0.1, 10.0, 100.0)))
            raise OSError("simulated: no route")
        known = world.platform.accounts[account.id]
        if known.state in (AccountState.BANNED, AccountState.SIGNED_OUT):
            raise AccountError("Not this account.", state=known.state)
        session = SimSession(world, process, known, sink)
        world.platform.opened(session, knowingly=process.freezes == freezes)
        if known.deduplicates:
            session.reading = asyncio.create_task(session.read())
        return session

    def verify_webhook(self, account: AccountConfig, headers: Mapping[str, str], body: bytes) -> bool:
        return account.secret == headers.get("x-signature", "").encode()

    def parse_webhook(self, account: AccountConfig, headers: Mapping[str, str], body: bytes) -> Sequence[Update]:
        try:
            return [_decoded(each) for each in json.loads(body)]
        except ValueError as error:
            raise BadWebhook from error


class SimSession:
    """See `Session`."""

    def __init__(self, world: "World", process: Process, account: PlatformAccount, sink: UpdateSink) -> None:
        self.world = world
        self.process = process
        self.account = account
        self.reading: asyncio.Task[None] | None = None
        self._sink = sink
        self._ended: SendError | None = None

    async def send(self, message: Outbound) -> Accepted:
        if self._ended is not None:
            raise self._ended
        world = self.world
        world.oracle.wire_write(self, message)
        fate = world.nemesis.send(self.process)
        if self.process.no_platform:
            fate = SendFate(there=None, back=None, breaks=world.nemesis.draw.choice((0.1, 5.0, None)), what="send_lost")
        if fate.what:
            world.note(self.process, "{} for message {}", fate.what, message.id)
        if fate.what == "send_not_sent":
            await asyncio.sleep(fate.breaks or 0.2)
            raise NotSent("No connection.")
        answer: asyncio.Future[Accepted] = world.loop.create_future()
        if fate.strike and fate.strike[0] == "before":
            world.strike(self.process, fate.strike[1], "before a send")
        if fate.there is not None:
            world.later(fate.there, self._arrive, message, fate, answer)
        if fate.breaks is not None:
            world.later(fate.breaks, _fail, answer, Uncertain("The connection broke."))
        accepted = await answer
        if fate.what == "send_raises":
            raise RuntimeError("simulated: a bug of the connector")
        if fate.what == "send_answers_garbage":
            return None  # type: ignore[return-value] # what a connector must not do
        return accepted

    def _arrive(self, message: Outbound, fate: SendFate, answer: "asyncio.Future[Accepted]") -> None:
        """At the platform."""
        world = self.world
        try:
            accepted = world.platform.take(self.account, message, fate, self.process.name)
        except SendError as error:
            world.later(fate.back or 0.0, _fail, answer, error)
        else:
            if fate.back is not None and not self.process.no_platform:
                world.later(fate.back, _succeed, answer, accepted)
        if fate.strike and fate.strike[0] == "after":
            world.strike(self.process, fate.strike[1], "after the platform took a send")

    async def read(self) -> None:
        """Hand on what the platform tells, in batches; acknowledge what is durable."""
        nemesis = self.world.nemesis
        while self._ended is None:
            batch = self.account.untold[: nemesis.draw.randint(1, 4)]
            if not batch or self.process.no_platform:
                self.account.news.clear()
                await self._news()
                continue
            if nemesis.hits("update_repeated", 0.2):
                batch = [*batch, *batch[:1]]
            if nemesis.hits("updates_reordered", 0.3):
                nemesis.draw.shuffle(batch)
            try:
                await self._sink.accept([each.update for each in batch], {"cursor": b"x"})
            except LeaseLost:
                self._ended = LeaseLost()
                return
            except CarillonError:
                await asyncio.sleep(0.5)
                continue
            if not nemesis.hits("acknowledgement_lost", 0.2):
                for each in batch:
                    self.world.oracle.acknowledged(self.account, each)

    async def _news(self) -> None:
        try:
            async with asyncio.timeout(5.0):
                await self.account.news.wait()
        except TimeoutError:
            return

    def conflict(self) -> None:
        """The platform threw this session out for another one."""
        self._ended = self._ended or LeaseLost("Another process opened this account.")

    async def close(self) -> None:
        self._ended = self._ended or NotSent("The session is closed.")
        if self in self.account.sessions:
            self.account.sessions.remove(self)
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.gather(self.reading, return_exceptions=True)
        # To say goodbye takes a while, and whatever else the process does goes on meanwhile.
        await asyncio.sleep(self.world.nemesis.draw.choice((0.001, 0.05, 1.0)))


def _fail(answer: "asyncio.Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _succeed(answer: "asyncio.Future[Any]", value: object) -> None:
    if not answer.done():
        answer.set_result(value)


def encoded(update: Update) -> dict[str, Any]:
    """An update as the platform's webhook says it."""
    if isinstance(update, InboundMessage):
        return {"chat": update.chat, "platform_id": update.platform_id, "text": update.text, "at": str(update.at)}
    assert isinstance(update, StatusUpdate)
    return {name: None if getattr(update, name) is None else str(getattr(update, name)) for name in _STATUS}


def _decoded(said: Mapping[str, Any]) -> Update:
    at = datetime.fromisoformat(said["at"])
    if "chat" in said:
        return InboundMessage(
            chat=said["chat"], sender=said["chat"], platform_id=said["platform_id"], text=said["text"], at=at
        )
    return StatusUpdate(
        status=Status(said["status"]),
        at=at,
        message_id=UUID(said["message_id"]) if said["message_id"] else None,
        platform_id=said["platform_id"],
        error_class=said["error_class"],
        error_text=said["error_text"],
    )
