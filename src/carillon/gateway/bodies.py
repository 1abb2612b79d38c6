"""Reading request bodies: bounded, timed, and checked before anything is validated or stored."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from email.message import Message as Header
from typing import Any

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from .errors import (
    BodyIncomplete,
    BodyTooLarge,
    BodyTooSlow,
    ForbiddenCharacter,
    MalformedJson,
    TooDeep,
    UnsupportedMediaType,
)

_SLOWEST = 60.0
_DEEPEST = 64
_DISCARDED = 16_000_000
_DISCARD_SECONDS = 5.0
# Tab, line feed and carriage return are text; NUL cannot be stored by PostgreSQL, the others hide in screens.
_CONTROLS = frozenset(map(chr, range(32))) - set("\t\n\r")


class CheckedRequest(Request):
    """A request whose JSON was parsed and checked once, by `read_json`."""

    checked: Any = None
    is_checked = False

    async def json(self) -> Any:
        """The checked value; see `starlette.requests.Request.json`."""
        return self.checked if self.is_checked else await super().json()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """See `starlette.requests.Request.stream`; a broken connection is the client's fault."""
        try:
            async for piece in super().stream():
                yield piece
        except ClientDisconnect as error:
            raise BodyIncomplete from error


def bounded(request: Request, limit: int) -> CheckedRequest:
    """The same request, whose body may have at most `limit` bytes, announced or counted."""
    return CheckedRequest(request.scope, _limited(request, limit))


def _limited(request: Request, limit: int) -> Receive:
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            await _discard(request)
            raise BodyTooLarge(limit=limit)
        message = await request.receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            if message.get("more_body"):
                await _discard(request)
            raise BodyTooLarge(limit=limit)
        return message

    return receive


async def _discard(request: Request) -> None:
    """Read on for a while: an answer to a client that is still writing would be lost with the connection."""
    seen, more = 0, True
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while more and seen < _DISCARDED:
                message = await request.receive()
                seen += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        return


async def read_body(request: CheckedRequest) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: It has more bytes than allowed.
        BodyTooSlow: It took more than a minute.
        BodyIncomplete: The client went away.
    """
    try:
        async with asyncio.timeout(_SLOWEST):
            return await request.body()
    except TimeoutError as error:
        raise BodyTooSlow from error


async def read_json(request: CheckedRequest) -> None:
    """Read, parse and check a JSON body, so that the framework finds it ready.

    Raises:
        UnsupportedMediaType: The body is something else.
        MalformedJson: It does not parse; the place is the byte.
        ForbiddenCharacter: A text in it holds a control character; the place is the field.
        TooDeep: It is nested more than 64 levels.
    """
    body = await read_body(request)
    if not body:
        return
    kind = media_type(request)
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.", accepted=["application/json"])
    request.checked = parse_json(body)
    request.is_checked = True


def parse_json(body: bytes) -> Any:
    """The checked value of a JSON text.

    Raises:
        MalformedJson: It does not parse; the place is the byte.
        ForbiddenCharacter: A text in it holds a control character; the place is the field.
        TooDeep: It is nested more than 64 levels.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # orjson counts characters; people who look into a file count bytes.
        byte = len(body.decode(errors="replace")[: error.pos].encode())
        raise MalformedJson(f"The body is not valid JSON: {error.msg}.", place=f"body, byte {byte}") from error
    check_texts(value, "body")
    return value


def check_texts(value: Any, place: str, depth: int = 0) -> None:
    """Refuse control characters in any text of a JSON value, keys included.

    Raises:
        ForbiddenCharacter: There is one; `place` leads to it.
        TooDeep: The value is nested more than 64 levels.
    """
    if depth > _DEEPEST:
        raise TooDeep(place=place)
    if isinstance(value, str):
        if not _CONTROLS.isdisjoint(value):
            raise ForbiddenCharacter(place=place)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_texts(key, f"{place} (a name in it)")
            check_texts(item, f"{place}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_texts(item, f"{place}.{index}", depth + 1)


def check_address(request: Request) -> None:
    """Refuse control characters in the path's and the query's values.

    Raises:
        ForbiddenCharacter: There is one.
    """
    for name, value in request.path_params.items():
        check_texts(value, f"path.{name}")
    for name, value in request.query_params.multi_items():
        check_texts(name, "query")
        check_texts(value, f"query.{name}")


def check_query(request: Request, known: Collection[str]) -> None:
    """Refuse parameters that the operation does not have: a misspelt filter must not answer with everything.

    Raises:
        RequestValidationError: With the parameter as place, as for a field too many in a body.
    """
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        there = f"there are: {', '.join(sorted(known))}" if known else "there are none"
        message = f"There is no such parameter; {there}"
        raise RequestValidationError(
            [{"loc": ("query", name), "type": "extra_forbidden", "msg": message} for name in unknown]
        )


def media_type(request: Request) -> str:
    """The content type without its parameters, in small letters; empty when none was sent."""
    header = Header()
    header["content-type"] = request.headers.get("content-type", "")
    return header.get_content_type() if request.headers.get("content-type") else ""
