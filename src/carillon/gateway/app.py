"""Puts one HTTP application together from the services' routers."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from carillon import __version__
from carillon.kernel.permissions import Permission
from carillon.ops.health import Checks
from carillon.storage.resources import Resources

from . import failures, openapi, probes
from .admission import make_admission
from .context import Authenticator
from .live import endpoints as live
from .live.hub import Hub
from .manifest import Manifest
from .shell import Shell

PREFIX = "/api/v1"
Hook = Callable[[FastAPI], AbstractAsyncContextManager[Any]]


def create_app(
    manifests: Sequence[Manifest],
    resources: Resources,
    authenticator: Authenticator,
    *,
    routers: Sequence[APIRouter] = (),
    mounts: Mapping[str, Any] | None = None,
    hooks: Sequence[Hook] = (),
    checks: Checks | None = None,
    live_permissions: Mapping[str, Permission] | None = None,
    live_coalesced: frozenset[str] = frozenset(),
) -> FastAPI:
    """The ASGI application of the API.

    Args:
        manifests: Services whose routers are mounted below `/api/v1`.
        resources: The process's parts.
        authenticator: The auth port.
        routers: More routers, mounted at the root.
        mounts: ASGI applications by path, e.g. the web front ends.
        hooks: Entered in this order before the first request and left in reverse after the last.
        checks: What must work before it is ready; database and schema are added here.
        live_permissions: By prefix of the event type, who may see it on the live feed.
        live_coalesced: Event types of which the live feed sends at most two a second per subject.

    Raises:
        RuntimeError: Two operations share a name.
    """
    app = FastAPI(
        title="Carillon",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan((_background, *hooks)),
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,
    )
    app.state.resources = resources
    app.state.admission = make_admission(authenticator, resources)
    app.state.checks = checks or Checks()
    app.state.hub = Hub(resources, authenticator, live_permissions or {}, live_coalesced)
    probes.register_database(app.state.checks, resources)
    # First, because routes are tried in their order: what platforms call by the thousand is found at once.
    for router in routers:
        app.include_router(router)
    for router in (live.router, *(router for manifest in manifests for router in manifest.routers)):
        app.include_router(router, prefix=PREFIX)
    for router in (live.socket_router, probes.router, openapi.docs_router(PREFIX)):
        app.include_router(router)
    for path, mounted in (mounts or {}).items():
        app.mount(path, mounted)
    _check_names(app)
    openapi.install(app)
    failures.install(app)
    app.add_middleware(Shell, settings=resources.settings)
    return app


def _lifespan(hooks: Sequence[Hook]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for hook in hooks:
                await stack.enter_async_context(hook(app))
            yield

    return lifespan


@asynccontextmanager
async def _background(app: FastAPI) -> AsyncIterator[None]:
    """The live feed and the event loop's watch run as long as the application does."""
    tasks = [asyncio.create_task(app.state.hub.run())]
    try:
        yield
    finally:
        await app.state.hub.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _check_names(app: FastAPI) -> None:
    """Clients are generated from operation ids: two of the same name would overwrite each other."""
    seen: dict[str, str] = {}
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute) or not context.include_in_schema:
            continue
        name, path = str(context.name), str(context.path)
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            message = f"operation {name} at {path} needs a plain function name"
            raise RuntimeError(message)
        if name in seen:
            message = f"operation {name} is declared twice: at {seen[name]} and {path}"
            raise RuntimeError(message)
        seen[name] = path
