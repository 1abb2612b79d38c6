"""Cursor pagination: opaque, stable under inserts, tamper-evident enough to give a clear error."""

import base64
import binascii
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel

from carillon.kernel.errors import Invalid
from carillon.kernel.paging import PageRequest

T = TypeVar("T")


class BadCursor(Invalid):
    """The cursor is not one of ours; start again without it."""

    code = "bad_cursor"


class PageOut(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = None


def _page(
    limit: Annotated[int, Query(ge=1, le=200, description="Rows wanted")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")] = None,
) -> PageRequest:
    return PageRequest(limit=limit, cursor=cursor)


PageQuery = Annotated[PageRequest, Depends(_page)]


def encode_cursor(*values: Any) -> str:
    """The sort values of a page's last row, as an opaque text."""
    return base64.urlsafe_b64encode(orjson.dumps(values, default=str)).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The sort values again, each made by the given type (e.g. `UUID`, `datetime.fromisoformat` is `str` here).

    Raises:
        BadCursor: It was not made by `encode_cursor` with as many values.
    """
    try:
        values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if len(values) != len(kinds):
            raise BadCursor(place="query parameter cursor")
        return tuple(kind(value) for kind, value in zip(kinds, values, strict=True))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadCursor(place="query parameter cursor") from error
