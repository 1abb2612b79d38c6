"""From any exception to its problem answer: business errors, bad requests, the database's refusals, our own bugs."""

import math
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from carillon.kernel.errors import CarillonError, Conflict, Invalid, Throttled, Unauthenticated, Unavailable

from .problems import Fault, problem

_log = structlog.get_logger(__name__)
_RETRY_UNAVAILABLE = 5


class InvalidValue(Invalid):
    """A value does not fit where it should be stored."""

    code = "invalid_value"


class AlreadyExists(Conflict):
    """There is already one like that."""

    code = "already_exists"


class StillReferenced(Conflict):
    """It refers to something that is gone, or something still refers to it."""

    code = "still_referenced"


class Busy(Unavailable):
    """Too much is going on at once; try again."""

    code = "busy"


def install(app: FastAPI) -> None:
    """Answer every failure of the application with a problem."""
    app.add_exception_handler(CarillonError, _business)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for kind in (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError):
        app.add_exception_handler(kind, _database)
    app.add_exception_handler(PoolTimeout, _pool)


async def _business(request: Request, error: Exception) -> Response:
    assert isinstance(error, CarillonError)
    if isinstance(error, Unavailable) and (known := _translate(error)):
        # A value the driver could not even encode looks like a broken connection one layer below.
        return answer(request, known)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request failed", code=error.code, exc_info=error)
    return answer(request, error)


def answer(request: Request, error: CarillonError) -> Response:
    """A business error's problem."""
    headers: dict[str, str] = {}
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(_RETRY_UNAVAILABLE)
    elif isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return problem(
        request, error.status, error.code, error.message, place=error.place, data=error.data, headers=headers
    )


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        # The prefix is pydantic's, before what our own validators say.
        Fault(
            place=_place(fault["loc"]),
            code=str(fault["type"]),
            message=str(fault["msg"]).removeprefix("Value error, "),
        )
        for fault in error.errors()
    ]
    first = faults[0]
    detail = f"{first.place}: {first.message}" if len(faults) == 1 else f"{len(faults)} fields are not valid."
    return problem(request, 422, "invalid_fields", detail, place=first.place, errors=faults)


def _place(location: Sequence[Any]) -> str:
    return ".".join(str(step) for step in location)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem(request, 404, "unknown_route", "There is no such address.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(_methods(request)))
        detail = f"{request.method} is not possible here; possible: {allowed}."
        return problem(request, 405, "method_not_allowed", detail, headers={"Allow": allowed})
    code = {413: "body_too_large", 415: "unsupported_media_type"}.get(error.status_code, "bad_request")
    return problem(request, error.status_code, code, str(error.detail), headers=error.headers)


def _methods(request: Request) -> Iterator[str]:
    """All methods of the address: several routes may share it."""
    path = request.scope["path"]
    found: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        pattern = getattr(context, "path_regex", None)
        if pattern is not None and pattern.match(path):
            found |= context.methods or set()
    return iter(found)


async def _database(request: Request, error: Exception) -> Response:
    known = _translate(error)
    if known is not None:
        _log.info("the database refused a request", code=known.code, sqlstate=_sqlstate(error))
        return answer(request, known)
    return internal(request, error)


async def _pool(request: Request, error: Exception) -> Response:
    _log.warning("no database connection was free", exc_info=error)
    return answer(request, Busy())


def _translate(error: BaseException) -> CarillonError | None:
    """The client's share in a database error, by SQLSTATE (PostgreSQL manual, appendix A)."""
    state = _sqlstate(error)
    by_state: dict[str, type[CarillonError]] = {
        "23505": AlreadyExists,
        "23503": StillReferenced,
        "23502": InvalidValue,
        "23514": InvalidValue,
        "55P03": Busy,
        "57014": Busy,
    }
    if state in by_state:
        return by_state[state]()
    if state[:2] == "22" or any(_cannot_encode(cause) for cause in _causes(error)):
        return InvalidValue()
    return Busy() if state[:2] == "40" else None


def _cannot_encode(cause: BaseException) -> bool:
    """Whether the driver refused a value before it sent anything, e.g. an integer out of range."""
    return (
        isinstance(cause, asyncpg.InterfaceError)
        and isinstance(cause, ValueError)
        and not isinstance(cause, asyncpg.ClientConfigurationError)
    )


def _sqlstate(error: BaseException) -> str:
    states = (getattr(cause, "sqlstate", None) for cause in _causes(error))
    return next((str(state) for state in states if state), "")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def internal(request: Request, error: BaseException) -> Response:
    """The answer to a bug: logged with its traceback, and nothing of it told."""
    _log.error("unexpected error", exc_info=error, method=request.method, path=request.url.path)
    return problem(request, 500, "internal_error", "Something went wrong on our side; it has been logged.")
