"""Whose address it is, behind proxies."""

import pytest
from starlette.requests import HTTPConnection

from carillon.gateway.addresses import client_address, is_loopback

OURS = ("10.0.0.0/8", "::1/128")


def connection(peer: str, forwarded: str = "") -> HTTPConnection:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return HTTPConnection({"type": "http", "headers": headers, "client": (peer, 1)})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.5", "", "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "junk", "junk"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: str, address: str) -> None:
    assert client_address(connection(peer, forwarded), OURS) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "local"),
    [("127.0.0.1", "", True), ("::1", "", True), ("127.0.0.1", "127.0.0.1", False), ("192.0.2.1", "", False)],
)
def test_this_machine(peer: str, forwarded: str, local: bool) -> None:
    assert is_loopback(connection(peer, forwarded)) == local
