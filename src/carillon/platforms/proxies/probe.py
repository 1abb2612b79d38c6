"""One check of a proxy: a connection through it to its probe, by the proxy's own protocol.

The protocols are SOCKS5 (RFC 1928, 1929) and HTTP CONNECT (RFC 9110, 9.3.6). Proxy hosts are written by tenants, so
they must not lead into our own network: every address a host stands for must be public or inside
`Settings.allow_networks`, and the connection goes to the very address that was checked.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Sequence

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy as Connection

from carillon.platforms.connectors.public_internet import embedded, is_public

from .contracts import Finding, ProxyScheme, Target

TIMEOUT = 10.0
_TYPES = {ProxyScheme.SOCKS5: ProxyType.SOCKS5, ProxyScheme.HTTP: ProxyType.HTTP}
# RFC 9110: the proxy wants, or does not take, credentials.
_REFUSED_HTTP = frozenset({401, 403, 407})


async def check(target: Target, allowed: Sequence[str], *, timeout: float = TIMEOUT) -> Finding:  # noqa: ASYNC109
    """Connect to the probe through the proxy, once.

    Args:
        target: The proxy.
        allowed: Networks that are permitted although they are not public.
        timeout: Seconds for everything.
    """
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            address = await resolve(target.host, target.port, allowed)
            if address is None:
                return Finding("forbidden_address")
            reason = await _connect(target, address, timeout)
    except TimeoutError:
        return Finding("timeout")
    except (OSError, UnicodeError):  # a name that IDNA cannot carry
        return Finding("unresolvable")
    return Finding(reason, time.monotonic() - started if reason is None else None, address)


async def resolve(host: str, port: int, allowed: Sequence[str]) -> str | None:
    """The address behind a host name; None when one of them is not permitted.

    Raises:
        OSError: The name stands for nothing.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    return addresses[0] if addresses and all(permitted(address, allowed) for address in addresses) else None


def permitted(address: str, allowed: Sequence[str]) -> bool:
    """Whether a proxy may stand there."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    real = embedded(parsed)
    return any(real in ipaddress.ip_network(network, strict=False) for network in allowed) or is_public(real)


async def _connect(target: Target, address: str, timeout: float) -> str | None:  # noqa: ASYNC109
    """None when the probe was reached, else why not."""
    host, _, port = target.probe.rpartition(":")
    proxy = Connection(
        _TYPES[target.scheme], address, target.port, username=target.username, password=target.password, rdns=True
    )
    try:
        sock = await proxy.connect(dest_host=host.strip("[]"), dest_port=int(port), timeout=timeout)
    except ProxyTimeoutError:
        return "timeout"
    except ProxyConnectionError:
        return "unreachable"
    except ProxyError as error:
        return _refusal(target, error)
    except (OSError, EOFError):
        return "protocol"
    sock.close()
    return None


def _refusal(target: Target, error: ProxyError) -> str:
    """What the proxy's answer means."""
    text = str(error).lower()
    if target.scheme is ProxyScheme.HTTP:
        if error.error_code in _REFUSED_HTTP:
            return "refused_credentials"
        return "probe_unreachable" if error.error_code else "protocol"
    if "authentication" in text or "no acceptable" in text:
        return "refused_credentials"
    return "probe_unreachable" if error.error_code else "protocol"
