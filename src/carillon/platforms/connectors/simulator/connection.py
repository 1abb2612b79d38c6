"""One TCP connection to the simulator: frames in, answers out, the ledger flushed in between."""

import asyncio
import time
from itertools import islice
from typing import Any, Protocol, TypeVar, cast

from .protocol import Frame, FrameError, LineBuffer, decode, encode
from .state import AccountRecord

WINDOW = 500
BATCH = 100

V = TypeVar("V", str, int, float, bool)


def need(frame: Frame, name: str, kind: type[V]) -> V:
    """The field `name`, which must be there and of this kind.

    Raises:
        FrameError: It is not.
    """
    value = frame.get(name)
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return kind(value)
    raise FrameError(f"{name} must be a {kind.__name__}")


class Host(Protocol):
    """What a connection needs of the server."""

    def handle(self, connection: "Connection", frame: Frame) -> None:
        """Act on a frame: answers go to `connection.answer`."""
        ...

    def flush(self) -> None:
        """Make everything recorded so far durable."""
        ...

    def lost(self, connection: "Connection") -> None:
        """The connection ended."""
        ...


class Connection(asyncio.Protocol):
    """The server's end.

    `account` is set by a successful hello; `pushed` is the last update written to it; `superseded` says that
    another connection has taken the account while this one was silent.
    """

    def __init__(self, host: Host) -> None:
        """Create it for a server."""
        self._host = host
        self._lines = LineBuffer()
        self._out: list[bytes] = []
        self._handling = False
        self._transport: asyncio.Transport | None = None
        self.account: AccountRecord | None = None
        self.pushed = 0
        self.superseded = False
        self._heard_at = time.monotonic()

    def silence(self) -> float:
        """Seconds since anything came."""
        return time.monotonic() - self._heard_at

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # Not isinstance: uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See `asyncio.Protocol`."""
        self._transport = None
        self._host.lost(self)

    def data_received(self, data: bytes) -> None:
        """Handle every frame that came, make their records durable, then answer them all."""
        self._handling = True
        self._heard_at = time.monotonic()
        try:
            for line in self._lines.feed(data):
                if self._transport is None or self._transport.is_closing():
                    break
                self._host.handle(self, decode(line))
        except FrameError as error:
            self.gone("bad_frame", str(error))
        finally:
            self._handling = False
        self._write()

    def answer(self, frame: Frame, ok: Any = None, *, err: Frame | None = None, delay: float = 0.0) -> None:
        """Answer a request, `delay` seconds from now."""
        reply = {"r": frame.get("r"), "ok": ok} if err is None else {"r": frame.get("r"), "err": err}
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self.emit, reply)
        else:
            self.emit(reply)

    def emit(self, frame: Frame) -> None:
        """Write a frame, at the latest when the frames that have just come are handled."""
        self._out.append(encode(frame))
        if not self._handling:
            self._write()

    def push(self) -> None:
        """Write the updates that this session has not seen, as far as its window allows."""
        account = self.account
        if account is None or self._transport is None:
            return
        self.pushed = max(self.pushed, account.acked)
        while self.pushed < account.seq and self.pushed - account.acked < WINDOW:
            start = self.pushed - account.acked
            told = list(islice(account.unacked, start, start + BATCH))
            items = [{"seq": update.seq, "at": update.at, **update.body} for update in told]
            self.pushed = told[-1].seq
            self.emit({"ev": "updates", "items": items})

    def gone(self, code: str, text: str) -> None:
        """Say why the session ends, and end it; what was answered before still goes out."""
        self._out.append(encode({"ev": "gone", "code": code, "text": text}))
        self._write()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Break the connection now: nothing that was not yet written will be."""
        self._out.clear()
        if self._transport is not None:
            self._transport.abort()

    def _write(self) -> None:
        """Write what there is to write, after the records it rests upon."""
        self._host.flush()
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()
