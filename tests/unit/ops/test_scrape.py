"""`/metrics` on a port of its own: to this machine or with the token, and to nobody else."""

import asyncio
import socket

import pytest
from pydantic import SecretStr

from carillon.kernel.errors import SetupError
from carillon.ops import scrape


@pytest.fixture
def port(socket_enabled: None) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    if not request.endswith(b"\r\n\r\n"):
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_it_answers_metrics_and_nothing_else(port: int) -> None:
    async with scrape.serving("127.0.0.1", port, None):
        answer = await ask(port, b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"carillon_http_request_seconds" in answer
        openly = await ask(port, b"GET /metrics HTTP/1.1\r\naccept: application/openmetrics-text\r\n\r\n")
        assert openly.rstrip().endswith(b"# EOF")
        for other in (b"GET / HTTP/1.1\r\n\r\n", b"POST /metrics HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n"):
            assert (await ask(port, other)).startswith(b"HTTP/1.1 404")
        assert (await ask(port, b"GET /metrics HTTP/1.1\r\nx-forwarded-for: 127.0.0.1\r\n\r\n")).startswith(
            b"HTTP/1.1 404"
        )
        assert await ask(port, b"GET /met") == b""
        assert await ask(port, b"x" * 100_000) == b""


async def test_a_taken_port_is_told_at_once(port: int) -> None:
    async with scrape.serving("127.0.0.1", port, None):
        with pytest.raises(SetupError, match="CARILLON_METRICS_PORT"):
            async with scrape.serving("127.0.0.1", port, None):
                pass


@pytest.mark.parametrize(
    ("peer", "headers", "allowed"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("::ffff:127.0.0.1", {}, True),
        ("10.0.0.8", {}, False),
        ("", {}, False),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, False),
        ("10.0.0.8", {"authorization": "Bearer let-me-in"}, True),
        ("10.0.0.8", {"authorization": "Bearer wrong"}, False),
        ("10.0.0.8", {"authorization": "Bearer "}, False),
    ],
)
def test_who_may_read(peer: str, headers: dict[str, str], *, allowed: bool) -> None:
    assert scrape.may_read(peer, headers, SecretStr("let-me-in")) is allowed
