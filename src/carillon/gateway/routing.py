"""One request, one transaction: admit, read, open, handle, commit, answer."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import structlog
from fastapi import APIRouter, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from carillon.kernel.permissions import Permission
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import idempotency, uploads
from .addresses import client_address
from .admission import Admission
from .bodies import CheckedRequest, bounded, check_address, check_query, media_type, read_body, read_json
from .context import Context, OpenContext, require
from .errors import UnsupportedMediaType

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
E = TypeVar("E", bound=Callable[..., Any])
_MOST_BYTES = "__most_bytes__"
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


class _CheckedRoute(APIRoute):
    """What both kinds of route share: bodies are bounded and checked before a transaction is open."""

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """What its subject needs: known before the body is read."""
        return tuple(
            call.permission
            for call in _calls(self.dependant)
            if isinstance(getattr(call, "permission", None), Permission)
        )

    @property
    def takes_upload(self) -> bool:
        """Whether its body is a file."""
        return uploads.take in _calls(self.dependant)

    async def _read(self, request: CheckedRequest) -> None:
        check_address(request)
        if self.body_field is None:
            return
        if not isinstance(self.body_field.field_info, params.Form):
            await read_json(request)
        elif media_type(request) in _FORMS:
            await read_body(request)
        else:
            raise UnsupportedMediaType("Send a form.", accepted=sorted(_FORMS))


class TransactionalRoute(_CheckedRoute):
    """Runs its endpoint in a transaction of the subject's tenant, and commits before answering."""

    def get_route_handler(self) -> Handler:
        """See `fastapi.routing.APIRoute.get_route_handler`."""
        handle = super().get_route_handler()
        permissions, takes_upload = self.permissions, self.takes_upload
        known = frozenset(_query_names(self.dependant))

        async def run(request: Request) -> Response:
            resources: Resources = request.app.state.resources
            admission: Admission = request.app.state.admission
            subject = await admission.admit(request, resources)
            structlog.contextvars.bind_contextvars(tenant=str(subject.tenant_id))
            for permission in permissions:
                require(subject, permission)
            settings = resources.settings
            limit = settings.max_upload_bytes if takes_upload else settings.max_body_bytes
            checked = bounded(request, limit)
            check_query(request, known)
            await self._read(checked)
            if takes_upload:
                async with uploads.received(checked, subject, resources) as upload:
                    checked.state.upload = upload
                    response = await _transact(handle, checked, subject, resources, upload.digest)
                    if idempotency.REPLAYED in response.headers:
                        # The first file is in use; nobody wants this one.
                        await uploads.discard(resources, subject.tenant_id, upload.id, upload.key)
                    return response
            body = await read_body(checked) if idempotency.HEADER in request.headers else b""
            return await _transact(handle, checked, subject, resources, body)

        return run


async def _transact(
    handle: Handler, request: Request, subject: Subject, resources: Resources, content: bytes
) -> Response:
    wanted = idempotency.read_claim(request, subject, content)
    async with resources.database.transaction(subject.tenant_id) as tx:
        if wanted and (before := await idempotency.claim(tx, wanted, resources.vault)):
            return before
        request.state.context = _context(request, subject, tx, resources)
        response = await handle(request)
        await uploads.settle(request, tx)
        if wanted:
            await idempotency.keep(tx, wanted, response, resources.vault)
    return response


def _context(request: Request, subject: Subject, tx: Tx, resources: Resources) -> Context:
    return Context(
        subject=subject,
        tx=tx,
        resources=resources,
        request_id=request.state.request_id,
        address=client_address(request, resources.settings.trusted_proxies),
    )


class OpenRoute(_CheckedRoute):
    """Runs its endpoint for anyone, without a transaction: sign-in and webhooks open their own."""

    def get_route_handler(self) -> Handler:
        """See `fastapi.routing.APIRoute.get_route_handler`."""
        handle = super().get_route_handler()
        most_bytes: int | None = getattr(self.endpoint, _MOST_BYTES, None)

        async def run(request: Request) -> Response:
            resources: Resources = request.app.state.resources
            checked = bounded(request, most_bytes or resources.settings.max_body_bytes)
            await self._read(checked)
            checked.state.context = OpenContext(
                resources=resources,
                request_id=request.state.request_id,
                address=client_address(request, resources.settings.trusted_proxies),
            )
            return await handle(checked)

        return run


def body_limit(most_bytes: int) -> Callable[[E], E]:
    """Mark an endpoint of an open router: its bodies may have so many bytes, whatever `max_body_bytes` says.

    For callers that decide the size themselves and would only come again: platforms.
    """

    def mark(endpoint: E) -> E:
        setattr(endpoint, _MOST_BYTES, most_bytes)
        return endpoint

    return mark


def _calls(dependant: Dependant) -> Iterator[Any]:
    """Every function of a dependency tree."""
    for part in dependant.dependencies:
        yield part.call
        yield from _calls(part)


def _query_names(dependant: Dependant) -> Iterator[str]:
    """Every query parameter of a dependency tree, as it is written."""
    for field in dependant.query_params:
        yield field.alias
    for part in dependant.dependencies:
        yield from _query_names(part)


def router(prefix: str, tag: str) -> APIRouter:
    """A router whose routes are transactional; `prefix` is below `/api/v1`."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=TransactionalRoute)


def open_router(prefix: str, tag: str) -> APIRouter:
    """A router for anyone: its endpoints take `Anyone` (an `OpenContext`) and see to their own protection.

    Count attempts with `context.resources`-independent `Limiter`s by `context.address`; a webhook reads the raw
    body from `Request` (bounded like any other) and checks its signature.
    """
    return APIRouter(prefix=prefix, tags=[tag], route_class=OpenRoute)
