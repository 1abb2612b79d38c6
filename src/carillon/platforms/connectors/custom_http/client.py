"""POST to a judged address: the connection goes where `NetGuard` looked, redirects are never followed."""

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from carillon.kernel.clock import Clock
from carillon.platforms.connectors.port import ProxyEndpoint
from carillon.platforms.connectors.web_address import WebAddress

from .answer import Answer, NotConnected
from .connection import Connection
from .dialing import Trust, dial
from .net_guard import NetGuard, PinnedUrl
from .pool import Pool

PIN_SECONDS = 60.0
READY_SECONDS = 1.0
"""How long a request may wait for a name, a connection or its turn. Permission to send ages; a message that waited
longer is tried again with a new one, while the connection goes on being made."""
_SWEEPS = 4


@dataclass(slots=True)
class _Lane:
    """The connections to one judged address."""

    pinned: PinnedUrl
    proxy: ProxyEndpoint | None
    pool: Pool
    until: float


class PinnedClient:
    """Posts to one URL."""

    def __init__(
        self,
        guard: NetGuard,
        url: WebAddress,
        *,
        clock: Clock,
        connect_seconds: float,
        answer_seconds: float,
        trust: Trust,
        proxy: ProxyEndpoint | None = None,
    ) -> None:
        """Create the client; nothing is resolved or connected yet. With a proxy every byte goes through it."""
        self._guard = guard
        self._url = url
        self._clock = clock
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._trust = trust
        self._proxy = proxy
        self._head = _head(url)
        self._lane: _Lane | None = None
        self._pools: list[Pool] = []
        self._renewal: asyncio.Task[_Lane] | None = None
        self._turn = 0
        self._closed = False

    async def post(self, fields: bytes, body: bytes) -> Answer:
        """Make one request, once.

        Args:
            fields: Header lines, each with its line end.
            body: The body.

        Raises:
            AddressRefused: The host's addresses are not, or no longer, acceptable.
            NotConnected: Nothing was sent.
            AnswerLost: It was sent, perhaps in vain.
        """
        now, lane = self._clock.boottime(), self._lane
        connection = lane.pool.take(now) if lane is not None and now <= lane.until else None
        if connection is None:
            connection = await self._connected()
            now = self._clock.boottime()
        request = b"%bContent-Length: %d\r\n%b\r\n%b" % (self._head, len(body), fields, body)
        return await connection.exchange(request, now + self._answer_seconds)

    async def close(self) -> None:
        """Close every connection; requests under way end as `AnswerLost`."""
        self._closed = True
        self._lane = None
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        await asyncio.gather(*(pool.close() for pool in self._pools))

    async def _connected(self) -> Connection:
        try:
            async with asyncio.timeout(READY_SECONDS):
                lane = await self._current()
                return await lane.pool.wait()
        except TimeoutError:
            raise NotConnected from None

    async def _current(self) -> _Lane:
        """A lane whose address was judged not long ago; many who ask at once ask together."""
        if self._closed:
            raise NotConnected
        lane = self._lane
        if lane is not None and self._clock.boottime() <= lane.until and not lane.pool.dead:
            return lane
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
        return await asyncio.shield(self._renewal)

    async def _renew(self) -> _Lane:
        """Resolve and judge again; the lane stays if its address does."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                pinned = await self._guard.pin(self._url)
                proxy = await self._judged_proxy()
        except (OSError, asyncio.CancelledError):  # cancelled by `close`: whoever waits is told, not cancelled
            raise NotConnected from None
        finally:
            self._renewal = None
        if self._closed:
            raise NotConnected
        until = self._clock.boottime() + PIN_SECONDS
        lane = self._lane
        if lane is not None and not lane.pool.dead and _same_way(lane, pinned, proxy):
            lane.until = until
            return lane
        self._lane = self._replace(lane, pinned, proxy, until)
        return self._lane

    async def _judged_proxy(self) -> ProxyEndpoint | None:
        if self._proxy is None:
            return None
        return replace(self._proxy, host=await self._guard.pin_proxy(self._proxy.host, self._proxy.port))

    def _replace(self, old: _Lane | None, pinned: PinnedUrl, proxy: ProxyEndpoint | None, until: float) -> _Lane:
        """A lane to the next address; the old one finishes what it has begun."""
        if old is not None:
            old.pool.retire()
            self._turn += 1
        address = pinned.addresses[self._turn % len(pinned.addresses)]
        pool = Pool(
            partial(dial, url=pinned.url, address=address, trust=self._trust, proxy=proxy),
            clock=self._clock,
            connect_seconds=self._connect_seconds,
            sweep_seconds=min(1.0, self._answer_seconds / _SWEEPS),
        )
        self._pools = [*(one for one in self._pools if not one.empty), pool]
        return _Lane(pinned, proxy, pool, until)


def _same_way(lane: _Lane, pinned: PinnedUrl, proxy: ProxyEndpoint | None) -> bool:
    return set(lane.pinned.addresses) == set(pinned.addresses) and lane.proxy == proxy


def _head(url: WebAddress) -> bytes:
    """What is the same in every request; an encoded answer is not wanted, since it could grow without bound."""
    lines = (
        f"POST {url.target} HTTP/1.1",
        f"Host: {url.authority}",
        "User-Agent: Carillon",
        "Accept: */*",
        "Accept-Encoding: identity",
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
