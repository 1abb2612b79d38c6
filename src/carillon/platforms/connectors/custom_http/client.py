"""POST to a judged address: the connection goes where `NetGuard` looked, redirects are never followed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError, RequestError
from pyreqwest.response import Response, ResponseBodyReader

from carillon.kernel.clock import Clock

from .net_guard import NetGuard, PinnedUrl

MAX_ANSWER = 64 * 1024
PIN_SECONDS = 60.0
# The one cause that means "no connection was ever made". The exception's class cannot tell: the library raises
# ConnectError and ConnectTimeoutError for a reset or silence after the request was written, too.
_NEVER_CONNECTED = "client error (Connect)"


class NotConnected(ConnectionError):
    """No connection could be made: nothing was sent."""


class AnswerLost(ConnectionError):
    """The request may have been received, but there is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said; `body` is None when it is longer than `MAX_ANSWER`."""

    status: int
    retry_after: str | None
    body: bytes | None


@dataclass(slots=True)
class _Lane:
    """A pool of connections to one address; closed when it is retired and its last request is through."""

    client: Client
    pinned: PinnedUrl
    until: float
    busy: int = 0
    retired: bool = False


class PinnedClient:
    """Posts to one URL."""

    def __init__(
        self,
        guard: NetGuard,
        url: str,
        *,
        clock: Clock,
        connect_seconds: float,
        answer_seconds: float,
        root_certificates: bytes | None,
    ) -> None:
        """Create the client; nothing is resolved or connected yet. `root_certificates` are PEM, trusted as well."""
        self._guard = guard
        self._url = url
        self._clock = clock
        self._connect = timedelta(seconds=connect_seconds)
        self._answer = timedelta(seconds=answer_seconds)
        self._roots = root_certificates
        self._lane: _Lane | None = None
        self._turn = 0
        self._pinning = asyncio.Lock()
        self._closed = False

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Make one request, once.

        Raises:
            AddressRefused: The host's addresses are not, or no longer, acceptable.
            NotConnected: Nothing was sent.
            AnswerLost: It was sent, perhaps in vain.
        """
        lane = await self._acquire()
        try:
            request = lane.client.post(lane.pinned.url).headers(dict(headers)).body_bytes(body)
            async with request.build_streamed() as response:
                return Answer(
                    status=response.status,
                    retry_after=_retry_after(response),
                    body=await _read(response.body_reader),
                )
        except RequestError as error:
            causes = error.details.get("causes") or []
            if any(cause["message"] == _NEVER_CONNECTED for cause in causes):
                await self._retire(lane)
                raise NotConnected from None
            raise AnswerLost from None
        except PyreqwestError:
            raise AnswerLost from None
        finally:
            await self._release(lane)

    async def close(self) -> None:
        """Close every connection; requests under way end as `AnswerLost`."""
        self._closed = True
        lane, self._lane = self._lane, None
        if lane is not None:
            await lane.client.close()

    async def _acquire(self) -> _Lane:
        """A lane whose address was judged not long ago."""
        async with self._pinning:
            if self._closed:
                raise NotConnected
            now = self._clock.boottime()
            if self._lane is None or self._lane.until < now:
                await self._renew(now)
            lane = self._lane
            if lane is None:  # closed while the name was looked up
                raise NotConnected
            lane.busy += 1
            return lane

    async def _renew(self, now: float) -> None:
        """Resolve and judge again; the lane stays if its address does."""
        try:
            async with asyncio.timeout(self._connect.total_seconds()):
                pinned = await self._guard.pin(self._url)
        except OSError:
            raise NotConnected from None
        lane = self._lane
        if lane is not None and set(lane.pinned.addresses) == set(pinned.addresses):
            lane.until = now + PIN_SECONDS
            return
        if lane is not None:
            await self._retire(lane)
        if not self._closed:
            self._lane = _Lane(self._build(pinned), pinned, now + PIN_SECONDS)

    def _build(self, pinned: PinnedUrl) -> Client:
        address = pinned.addresses[self._turn % len(pinned.addresses)]
        builder = ClientBuilder().no_proxy().follow_redirects(False).referer(False).error_for_status(False)
        builder = builder.connect_timeout(self._connect).timeout(self._answer)
        builder = builder.user_agent("Carillon").resolve(pinned.host, address, pinned.port)
        if self._roots is not None:
            builder = builder.add_root_certificate_pem(self._roots)
        return builder.build()

    async def _retire(self, lane: _Lane) -> None:
        """Use it no more: the next request looks the name up again and takes the host's next address."""
        if not lane.retired:
            lane.retired = True
            self._turn += 1
        if self._lane is lane:
            self._lane = None
        if lane.busy == 0:
            await lane.client.close()

    async def _release(self, lane: _Lane) -> None:
        lane.busy -= 1
        if lane.retired and lane.busy == 0:
            await lane.client.close()


def _retry_after(response: Response) -> str | None:
    """The header; empty where it is there but is no text."""
    try:
        return response.get_header("retry-after")
    except ValueError:
        return ""


async def _read(reader: ResponseBodyReader) -> bytes | None:
    """The body, or None as soon as it is too long."""
    body = bytearray()
    while (chunk := await reader.read_chunk()) is not None:
        body += bytes(chunk)
        if len(body) > MAX_ANSWER:
            return None
    return bytes(body)
