"""Our end of the wire: numbered requests, many at once, and what became of each if the connection breaks."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from carillon.platforms.connectors.port import ProxyEndpoint

from .protocol import Frame, FrameError, LineBuffer, decode, encode

_TYPES = {"socks5": ProxyType.SOCKS5, "http": ProxyType.HTTP}
_PROXY_TIMEOUT = 10.0


class WireError(ConnectionError):
    """The connection is gone; `written` says whether the request may have left."""

    def __init__(self, *, written: bool) -> None:
        """Create the error."""
        super().__init__("the connection to the platform broke")
        self.written = written


class AnswerError(Exception):
    """The platform answered with an error; `error` is its frame."""

    def __init__(self, error: Frame) -> None:
        """Create it."""
        super().__init__(str(error.get("code")))
        self.error = error


class Wire(asyncio.Protocol):
    """One connection; events other than answers go to `on_event`. `lost` is set at its end."""

    def __init__(self, on_event: Callable[[Frame], None] | None = None) -> None:
        """Create it for `connect`."""
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event or (lambda _frame: None)
        self._lines = LineBuffer()
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._parts: dict[int, list[Any]] = {}
        self._unwritten: list[tuple[int, bytes]] = []
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._heard_at = time.monotonic()
        self.lost = asyncio.Event()

    def silence(self) -> float:
        """Seconds since anything came."""
        return time.monotonic() - self._heard_at

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # Not isinstance: uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Settle every request: those still unwritten certainly did not leave."""
        self._transport = None
        unwritten = {number for number, _ in self._unwritten}
        for number, future in self._pending.items():
            if not future.done():
                future.set_exception(WireError(written=number not in unwritten))
        self._pending.clear()
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        """Hand out answers and events; a frame that makes no sense ends the connection."""
        self._heard_at = time.monotonic()
        try:
            for line in self._lines.feed(data):
                self._received(decode(line))
        except FrameError:
            self.abort()

    def _received(self, frame: Frame) -> None:
        number = frame.get("r")
        if not isinstance(number, int):
            self._on_event(frame)
            return
        if "part" in frame:
            self._parts.setdefault(number, []).extend(frame["part"])
            return
        future = self._pending.pop(number, None)
        if future is None or future.done():
            return
        if "err" in frame:
            future.set_exception(AnswerError(frame["err"]))
        else:
            future.set_result((frame["ok"], self._parts.pop(number, [])))

    async def request(self, op: str, **values: Any) -> Frame:
        """Send one request and wait for its answer.

        Raises:
            FrameError: The values cannot be written as JSON.
            AnswerError: The platform answered with an error.
            WireError: No answer will come.
        """
        ok, _ = await self._request(op, values)
        return ok

    async def request_parts(self, op: str, **values: Any) -> tuple[Frame, list[Any]]:
        """The same for an operation that answers in parts."""
        return await self._request(op, values)

    async def _request(self, op: str, values: Frame) -> tuple[Frame, list[Any]]:
        if self._transport is None or self._transport.is_closing():
            raise WireError(written=False)
        self._number += 1
        number = self._number
        self._write(number, encode({"r": number, "op": op, **values}))
        future = self._pending[number] = self._loop.create_future()
        try:
            return await future  # type: ignore[no-any-return]  # a future of whatever the answer holds
        finally:
            self._pending.pop(number, None)

    def notify(self, op: str, **values: Any) -> None:
        """Send something that is not answered; nothing happens if the connection is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._write(0, encode({"op": op, **values}))

    def _write(self, number: int, line: bytes) -> None:
        """Gather what is written in one turn of the loop into one system call."""
        if not self._unwritten:
            self._loop.call_soon(self._flush)
        self._unwritten.append((number, line))

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            lines = [line for _, line in self._unwritten]
            self._unwritten.clear()
            self._transport.write(b"".join(lines))

    def abort(self) -> None:
        """Break the connection; `lost` follows."""
        if self._transport is not None:
            self._transport.abort()


async def connect(
    address: str, on_event: Callable[[Frame], None] | None = None, proxy: ProxyEndpoint | None = None
) -> Wire:
    """Connect to host:port, through the proxy if there is one and never past it.

    Raises:
        OSError: Nothing listens there, or the proxy does not let us through.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    if proxy is None:
        _, wire = await loop.create_connection(lambda: Wire(on_event), host, int(port))
        return wire
    way = Proxy(_TYPES[proxy.scheme], proxy.host, proxy.port, proxy.username, proxy.password)
    try:
        sock = await way.connect(host, int(port), timeout=_PROXY_TIMEOUT)
    except (ProxyError, ProxyConnectionError, ProxyTimeoutError) as error:
        raise ConnectionError("the proxy does not let us through") from error
    _, wire = await loop.create_connection(lambda: Wire(on_event), sock=sock)
    return wire
