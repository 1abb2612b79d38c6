"""One account's session: it sends, hands updates on, and comes back by itself when the connection breaks."""

import asyncio
from random import Random

import structlog

from carillon.kernel.clock import Clock
from carillon.platforms.connectors.errors import (
    AccountError,
    FailureClass,
    LeaseLost,
    NotSent,
    Rejected,
    SendError,
    Uncertain,
)
from carillon.platforms.connectors.port import (
    Accepted,
    AccountConfig,
    AccountState,
    AccountUpdate,
    Outbound,
    UpdateSink,
)

from .client import AnswerError, Wire, WireError, connect
from .inbox import Inbox
from .outcomes import moment, send_error
from .protocol import Frame, FrameError

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
PING_SECONDS = 10.0
SILENCE_SECONDS = 75.0
"""Without any answer for so long the connection is dead, whatever TCP says (`ping_delay_disconnect` of MTProto)."""


class SimulatorSession:
    """See `carillon.platforms.connectors.port.Session`; created by `SimulatorConnector.open`."""

    def __init__(
        self,
        address: str,
        account: AccountConfig,
        sink: UpdateSink,
        *,
        clock: Clock,
        jitter: Random,
        answer_seconds: float,
    ) -> None:
        """Create a session that is not connected yet; a send waits `answer_seconds` for its answer."""
        self._address = address
        self._account = account
        self._clock = clock
        self._jitter = jitter
        self._answer_seconds = answer_seconds
        self._wire: Wire | None = None
        self._ended: SendError | None = None
        self._inbox = Inbox(sink, clock=clock, on_accepted=self._acknowledge, on_lease_lost=self._end)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect once, then go on in the background; an unreachable platform is tried again from there.

        Raises:
            AccountError: The platform does not want this account.
        """
        try:
            await self._connect()
        except (OSError, AnswerError, FrameError) as error:
            refusal = _as_refusal(error)
            if refusal is not None:
                await self._drop_wire()
                raise refusal from None
            self._report(AccountState.DEGRADED, "The platform cannot be reached; we keep trying.")
        else:
            self._report(AccountState.ONLINE, "Connected.")
        self._tasks = [
            asyncio.create_task(work) for work in (self._supervise(), self._inbox.deliver(), self._keep_alive())
        ]

    async def send(self, message: Outbound) -> Accepted:
        """See `Session.send`; while there is no connection it fails at once."""
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if self._wire is None:
            raise NotSent("The platform cannot be reached at the moment.")
        frame = {"peer": message.peer, "key": message.key, "message_id": str(message.id)}
        try:
            async with asyncio.timeout(self._answer_seconds):
                ok = await self._wire.request("send", **frame, text=message.text)
        except WireError as error:
            lost = Uncertain if error.written else NotSent
            raise lost(platform_code="CONNECTION_LOST") from None
        except TimeoutError:
            raise Uncertain("The platform did not answer in time.", platform_code="TIMEOUT") from None
        except FrameError:
            text = "The message holds characters that cannot be sent."
            raise Rejected(text, failure=FailureClass.CONTENT, platform_code="ENCODING") from None
        except AnswerError as refused:
            raise send_error(refused.error) from None
        return Accepted(platform_id=str(ok["platform_id"]), at=moment(ok["at"]))

    async def close(self) -> None:
        """See `Session.close`; sends that wait for an answer end as `Uncertain`."""
        self._end(NotSent("The session is closed."))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._drop_wire()

    async def _supervise(self) -> None:
        """Keep the session connected until the platform, the lease or `close` ends it."""
        failures = 0
        while self._ended is None:
            if self._wire is not None:
                connected_at = self._clock.boottime()
                await self._wire.lost.wait()
                self._wire = None
                stable = self._clock.boottime() - connected_at > LONGEST_PAUSE
                failures = 0 if stable else failures + 1
                if self._ended is not None:
                    return
                self._report(AccountState.DEGRADED, "The connection to the platform broke; reconnecting.")
            await self._clock.sleep(self._pause(failures))
            failures = await self._reconnect(failures)

    async def _keep_alive(self) -> None:
        """Ping while connected; break a connection that is dead, and the one of a process that was frozen.

        A frozen process may have lost its account to another one meanwhile. A ping would be a second use of the
        account's key, which costs the session; so it says nothing more on a connection it had left alone too long.
        """
        while self._ended is None:
            began = self._clock.boottime()
            # Not the clock's own sleep: that is the back-off's, which tests make short.
            await asyncio.sleep(PING_SECONDS)
            wire = self._wire
            if wire is None:
                continue
            frozen = self._clock.boottime() - began > 2 * PING_SECONDS
            if frozen or wire.silence() > SILENCE_SECONDS:
                log.info("simulator_connection_given_up", frozen=frozen)
                wire.abort()
            else:
                wire.notify("ping", r=0)

    async def _reconnect(self, failures: int) -> int:
        """One attempt; returns the number of failures in a row."""
        if self._ended is not None:
            return failures
        try:
            await self._connect()
        except (OSError, AnswerError, FrameError) as error:
            refusal = _as_refusal(error)
            if refusal is not None:
                self._report(refusal.state, refusal.message)
                self._end(refusal)
            return failures + 1
        self._report(AccountState.ONLINE, "Connected again.")
        return failures

    def _pause(self, failures: int) -> float:
        """Doubling up to `LONGEST_PAUSE`, half of it random so that many sessions do not return at once."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(failures, 16)))
        return longest * self._jitter.uniform(0.5, 1.0)

    async def _connect(self) -> None:
        """Open the session; `_wire` is set only once the platform has taken it."""
        async with asyncio.timeout(CONNECT_SECONDS):
            wire = await connect(self._address, self._on_event, self._account.proxy)
            try:
                await wire.request(
                    "hello",
                    platform=self._account.platform.value,
                    account=self._account.address,
                    secret=(self._account.secret or b"").decode("utf-8", "replace"),
                    acked=self._inbox.accepted,
                )
            except BaseException:
                wire.abort()
                raise
        if self._ended is not None:
            wire.abort()
            return
        self._wire = wire
        # Accepted while there was no connection to say so.
        self._acknowledge(self._inbox.accepted)

    def _on_event(self, frame: Frame) -> None:
        """Something the platform says unasked."""
        if frame.get("ev") == "updates":
            self._inbox.put(frame["items"])
        elif frame.get("code") == "conflict":
            # Another process opened the account: coming back would throw that one out in turn.
            self._end(LeaseLost("Another process opened this account."))
        elif frame.get("code") == "AUTH_KEY_DUPLICATED":
            text = str(frame.get("text"))
            self._report(AccountState.SIGNED_OUT, text)
            code = str(frame["code"])
            self._end(AccountError(text, state=AccountState.SIGNED_OUT, platform_code=code))

    def _acknowledge(self, seq: int) -> None:
        if self._wire is not None and seq:
            self._wire.notify("ack", seq=seq)

    def _report(self, state: AccountState, reason: str) -> None:
        self._inbox.put_own(AccountUpdate(state=state, reason=reason, at=self._clock.now()))

    def _end(self, why: SendError) -> None:
        """Send and acknowledge nothing more; the first reason stays."""
        self._ended = self._ended or why
        if isinstance(why, LeaseLost | NotSent):
            self._inbox.stop()
        if self._wire is not None:
            self._wire.abort()

    async def _drop_wire(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()
            await wire.lost.wait()


def _as_refusal(error: Exception) -> AccountError | None:
    """The error as the platform's refusal of the account; None if it was only not reached."""
    if isinstance(error, AnswerError):
        meaning = send_error(error.error)
        if isinstance(meaning, AccountError):
            return meaning
    log.info("simulator_unreachable", error=type(error).__name__)
    return None
