"""Webhooks as a platform posts them: signed, and repeated until they are answered."""

import asyncio
import http.client
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

import orjson

from carillon.platforms.connectors.custom_http.signature import HEADER, signature

from .field import SECRET, Field, Process

_PAUSE = 0.2


def said(number: str, text: str, *, at: datetime | None = None, chat: str = "c-1") -> dict[str, str]:
    """Someone writes to the account."""
    moment = (at or datetime.now(UTC)).isoformat()
    return {"type": "message", "id": number, "chat": chat, "text": text, "at": moment}


def reported(message_id: str, status: str, *, at: datetime | None = None) -> dict[str, str]:
    """What became of a message of ours."""
    moment = (at or datetime.now(UTC)).isoformat()
    return {"type": "status", "message_id": message_id, "status": status, "at": moment}


def call_of(*updates: dict[str, str]) -> bytes:
    """The body of a call."""
    return orjson.dumps({"updates": list(updates)})


async def post(
    place: Field,
    account_id: UUID,
    body: bytes,
    *,
    secret: bytes = SECRET,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, bytes]:
    """Make one call; status 0 when nobody answers."""
    signed = {HEADER: signature(secret, datetime.now(UTC), body), "Content-Type": "application/json"}
    path = f"/hooks/{place.tenant}/{account_id}"
    return await asyncio.to_thread(_post, place.settings.port, path, body, {**signed, **headers})


def _post(port: int, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


async def insist(place: Field, account_id: UUID, body: bytes) -> None:
    """Call until it is answered 200, as platforms do."""
    while (await post(place, account_id, body))[0] != 200:
        await asyncio.sleep(_PAUSE)


async def until_served(place: Field, api: Process) -> None:
    """Wait until the API process answers."""
    while await asyncio.to_thread(_ready, place.settings.port) != 200:
        assert api.poll() is None, "the API process ended"
        await asyncio.sleep(0.05)


def _ready(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
