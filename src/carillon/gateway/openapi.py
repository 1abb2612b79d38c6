"""The OpenAPI document: one problem answer everywhere, how to authenticate, and what every operation needs."""

import html
import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from starlette.responses import HTMLResponse

from .idempotency import HEADER
from .problems import MEDIA_TYPE, Problem
from .routing import OpenRoute, TransactionalRoute

VERSION = "3.1.0"
_REFERENCE = "#/components/schemas/Problem"
_EXPLAINED = {
    "400": "The request is not valid",
    "401": "Sign in first",
    "403": "Not allowed",
    "404": "No such thing here",
    "405": "Not possible with this method",
    "408": "The body did not arrive in time",
    "409": "That does not fit the present state",
    "413": "Too large",
    "415": "Another kind of content is needed",
    "422": "Fields are not valid",
    "429": "Too many requests",
    "500": "Our fault",
    "503": "A part we need does not answer",
}
_SECURITY = {
    "session": {"type": "apiKey", "in": "cookie", "name": "carillon", "description": "A signed-in person"},
    "key": {"type": "http", "scheme": "bearer", "description": "An API key"},
}
_IDEMPOTENCY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Repeating a request with the same key repeats the answer, not the change. Kept 30 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def install(app: FastAPI) -> None:
    """Make the application describe itself this way."""
    cached: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        if not cached:
            cached.update(describe(app))
        return cached

    app.openapi = document  # type: ignore[method-assign] # the documented way to extend it


def describe(app: FastAPI) -> dict[str, Any]:
    """The document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=VERSION,
        routes=app.routes,
        separate_input_output_schemas=True,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    document["components"]["securitySchemes"] = _SECURITY
    for context in iter_route_contexts(app.routes):
        for method in context.methods or ():
            operation = document["paths"].get(str(context.path), {}).get(method.lower())
            if operation is not None:
                _complete(operation, method, context.original_route)
    return document


def _complete(operation: dict[str, Any], method: str, route: Any) -> None:
    answers = operation["responses"]
    for status, explained in _EXPLAINED.items():
        answers[status] = {
            "description": answers.get(status, {}).get("description", explained),
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE}}},
        }
    if isinstance(route, OpenRoute):
        operation["security"] = []
    if isinstance(route, TransactionalRoute):
        operation["security"] = [{"session": []}, {"key": []}]
        if route.permissions:
            operation["x-permissions"] = [permission.wire for permission in route.permissions]
        if method in {"POST", "PUT", "PATCH", "DELETE"}:
            operation.setdefault("parameters", []).append(_IDEMPOTENCY)


def docs_router(prefix: str) -> APIRouter:
    """A page that lists the operations, without any script: it works under the strictest policy and offline."""
    router = APIRouter(include_in_schema=False)

    @router.get(f"{prefix}/docs")
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(render(request.app.openapi()))

    return router


def render(document: dict[str, Any]) -> str:
    """The document as a plain page."""
    rows = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needs = ", ".join(operation.get("x-permissions", ())) or ("" if operation.get("security") else "anyone")
            shown = json.dumps(operation, ensure_ascii=False, indent=1)
            rows.append(
                f"<details><summary><b>{method.upper()}</b> {html.escape(path)} — "
                f"{html.escape(operation.get('summary', ''))} <i>{html.escape(needs)}</i></summary>"
                f"<pre>{html.escape(shown)}</pre></details>"
            )
    title = html.escape(f"{document['info']['title']} {document['info']['version']}")
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1>{''.join(rows)}"
