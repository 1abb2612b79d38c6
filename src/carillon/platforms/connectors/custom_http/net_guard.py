"""Where a tenant's URL may lead: the public internet and nothing of ours (server-side request forgery).

The URL is read once (`web_address`), so nothing can disagree about the host; the name is resolved here, every address
is judged, and the connection goes to the address that was judged, not to the name (a second resolution could tell
another story: DNS rebinding).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from carillon.kernel.errors import Forbidden
from carillon.platforms.connectors.public_internet import Network, embedded, is_public
from carillon.platforms.connectors.web_address import Address, Malformed, WebAddress, as_address, read

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefused(Forbidden):
    """This address may not be called."""

    code = "address_refused"


@dataclass(frozen=True, slots=True)
class PinnedUrl:
    """A URL with the addresses that its host was found to have, all of them judged; at least one."""

    url: WebAddress
    addresses: tuple[str, ...]


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The host's addresses, asked of the operating system.

    Raises:
        OSError: There are none, or nobody knows.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class NetGuard:
    """Judges URLs and addresses."""

    def __init__(self, allow_networks: Sequence[str] = (), *, resolve: Resolve = system_resolve) -> None:
        """Create a guard.

        Args:
            allow_networks: Networks of the deployment's own that may be called although they are not public,
                even by plain http; e.g. `127.0.0.0/8` on a laptop.
            resolve: Finds a host's addresses.
        """
        self._allowed: tuple[Network, ...] = tuple(ip_network(text) for text in allow_networks)
        self._resolve = resolve

    def read(self, text: str) -> WebAddress:
        """The URL, if its form is acceptable and its host, where it is an address, may be called.

        Raises:
            AddressRefused: Otherwise; the message says why and never repeats the URL, which may hold a secret.
        """
        try:
            url = read(text)
        except Malformed as error:
            raise AddressRefused(str(error)) from None
        if url.literal is not None:
            self._judge(url.literal, scheme=url.scheme)
        return url

    async def pin(self, url: WebAddress) -> PinnedUrl:
        """The URL with its host's addresses, each of them judged.

        Raises:
            AddressRefused: Any one of the addresses is not acceptable.
            OSError: The name cannot be resolved.
        """
        if url.literal is not None:
            self._judge(url.literal, scheme=url.scheme)
            return PinnedUrl(url, (str(url.literal),))
        return PinnedUrl(url, await self._judged(url.host, url.port, scheme=url.scheme))

    async def pin_proxy(self, host: str, port: int) -> str:
        """An address of a proxy; its host is a tenant's word like any URL, so all its addresses are judged.

        Raises:
            AddressRefused: One of them is not acceptable.
            OSError: The name cannot be resolved.
        """
        literal = as_address(host)
        if literal is not None:
            self._judge(literal)
            return str(literal)
        return (await self._judged(host, port))[0]

    async def _judged(self, host: str, port: int, *, scheme: str = "https") -> tuple[str, ...]:
        found = [ip_address(address) for address in await self._resolve(host, port)]
        if not found:
            raise OSError("the name has no address")
        for address in found:
            self._judge(address, scheme=scheme)
        return tuple(dict.fromkeys(str(address) for address in found))

    def _judge(self, address: Address, *, scheme: str = "https") -> None:
        real = embedded(address)
        if any(real in network for network in self._allowed):
            return
        if not is_public(real):
            raise AddressRefused("The address leads into a private network.")
        if scheme != "https":
            raise AddressRefused("The address must begin with https://.")
