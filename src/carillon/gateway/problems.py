"""The one form of every error answer: problem details (RFC 9457) with a stable code."""

import http
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Fault(BaseModel):
    """One thing wrong with the request."""

    place: str = Field(description="Where it is, e.g. `body.contacts.3.phone`")
    code: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"description": "What went wrong (RFC 9457)."})

    type: str = Field(description="`urn:carillon:problem:` and the code")
    title: str = Field(description="The status in words")
    status: int
    code: str = Field(description="Stable; decide by this")
    detail: str = Field(description="For a person")
    request_id: str = Field(description="Quote it to support; it is in the logs")
    place: str | None = Field(default=None, description="Where the fault is: a field, row or byte")
    data: dict[str, Any] | None = Field(default=None, description="Values to act on")
    errors: list[Fault] | None = Field(default=None, description="All faults, if there may be several")


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    place: str | None = None,
    data: Mapping[str, Any] | None = None,
    errors: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that failed."""
    content = Problem(
        type=f"urn:carillon:problem:{code}",
        title=http.HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        request_id=getattr(request.state, "request_id", ""),
        place=place,
        data=dict(data) if data else None,
        errors=errors,
    ).model_dump(exclude_none=True)
    # Error data may hold any business value (an id, a date, a Decimal): write what JSON lacks as text.
    body = orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)
