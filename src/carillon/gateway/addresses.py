"""Whose address a request comes from, behind proxies that we trust and no others."""

import ipaddress
from collections.abc import Sequence

from starlette.requests import HTTPConnection


def client_address(connection: HTTPConnection, trusted: Sequence[str]) -> str:
    """The client's address.

    `X-Forwarded-For` is read from the right and only as far as trusted proxies wrote it: what stands further
    left is whatever the client liked to send.

    Args:
        connection: A request or WebSocket.
        trusted: Networks of our proxies.
    """
    address = connection.client.host if connection.client else ""
    hops = [hop.strip() for hop in connection.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    while hops and _inside(address, trusted):
        address = hops.pop()
    return address


def is_loopback(connection: HTTPConnection) -> bool:
    """Whether the request came from this machine itself, and through no proxy."""
    if "x-forwarded-for" in connection.headers or "forwarded" in connection.headers:
        return False
    return _inside(connection.client.host if connection.client else "", ("127.0.0.0/8", "::1/128"))


def _inside(address: str, networks: Sequence[str]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(parsed in ipaddress.ip_network(network, strict=False) for network in networks)
    except ValueError:
        return False
