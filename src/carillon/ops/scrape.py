"""`/metrics` of a process that serves no HTTP otherwise: one request a connection, by hand, so that it stays small.

The same rule as at the API's: to this machine, or to who has the token; nobody else learns that it is here.
"""

import asyncio
import contextlib
import hmac
import ipaddress
from collections.abc import AsyncIterator

import structlog
from pydantic import SecretStr

from carillon.kernel.errors import SetupError

from . import metrics

log = structlog.get_logger(__name__)

_PATIENCE = 5.0
_LONGEST_HEAD = 16_384
_Head = tuple[str, dict[str, str]]


@contextlib.asynccontextmanager
async def serving(host: str, port: int, token: SecretStr | None) -> AsyncIterator[None]:
    """Serve for as long as the block lasts.

    Raises:
        SetupError: The address cannot be bound.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE):
                await _answer(reader, writer, token)
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=_LONGEST_HEAD)
    except OSError as error:
        message = f"CARILLON_METRICS_PORT: cannot listen on {host} port {port}: {error.strerror}"
        raise SetupError(message) from error
    log.info("metrics.serving", host=host, port=port)
    async with server:
        yield


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: SecretStr | None) -> None:
    request, headers = _parse(await reader.readuntil(b"\r\n\r\n"))
    peer = str(writer.get_extra_info("peername", ("",))[0])
    if request.split(" ")[:2] == ["GET", "/metrics"] and may_read(peer, headers, token):
        body, content_type = metrics.render(headers.get("accept", ""))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n"
    else:
        body, head = b"", "HTTP/1.1 404 Not Found\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
    await writer.drain()


def may_read(peer: str, headers: dict[str, str], token: SecretStr | None) -> bool:
    """Whether the metrics are for this reader: on this machine and behind no proxy, or with the token."""
    if token is not None and hmac.compare_digest(
        headers.get("authorization", "").encode(), f"Bearer {token.get_secret_value()}".encode()
    ):
        return True
    if "x-forwarded-for" in headers or "forwarded" in headers:
        return False
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _parse(head: bytes) -> _Head:
    lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines[1:] if ":" in line)
    return lines[0], {name.strip().lower(): value.strip() for name, _, value in fields}
