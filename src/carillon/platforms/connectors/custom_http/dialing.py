"""Makes connections: to the judged address, through the account's proxy if it has one, with TLS for the real name."""

import asyncio
import ssl
from collections.abc import Callable
from functools import cached_property

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from carillon.platforms.connectors.port import ProxyEndpoint
from carillon.platforms.connectors.web_address import WebAddress

from .connection import Connection

PROXY_TYPES = {"socks5": ProxyType.SOCKS5, "http": ProxyType.HTTP}


class Trust:
    """Whose certificates are believed: the system's, and those that the deployment adds."""

    def __init__(self, root_certificates: bytes | None) -> None:
        """Create it; `root_certificates` are PEM."""
        self._roots = root_certificates

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Verifies the certificate and its name. Made once: reading the system's certificates takes a while."""
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        if self._roots is not None:
            context.load_verify_locations(cadata=self._roots.decode("ascii"))
        return context


async def dial(
    factory: Callable[[], Connection],
    url: WebAddress,
    address: str,
    trust: Trust,
    proxy: ProxyEndpoint | None,
) -> Connection:
    """Connect once; with a proxy through it and never past it.

    Args:
        factory: Creates our end.
        url: What is called; its host is named in TLS.
        address: One of its judged addresses.
        trust: Whose certificates are believed.
        proxy: The way out, its host a judged address.

    Raises:
        OSError: No connection; nothing was sent.
    """
    loop = asyncio.get_running_loop()
    context = trust.context if url.scheme == "https" else None
    name = url.host.strip("[]") if context is not None else None
    if proxy is None:
        _, connection = await loop.create_connection(factory, address, url.port, ssl=context, server_hostname=name)
        return connection
    way = Proxy(PROXY_TYPES[proxy.scheme], proxy.host, proxy.port, proxy.username, proxy.password)
    try:
        sock = await way.connect(address, url.port)
    except (ProxyError, ProxyConnectionError, ProxyTimeoutError, EOFError) as error:
        raise ConnectionError("the proxy does not let us through") from error
    _, connection = await loop.create_connection(factory, sock=sock, ssl=context, server_hostname=name)
    return connection
