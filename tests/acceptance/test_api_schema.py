"""The whole API against its own description: schemathesis sends what the schema allows and what it forbids.

No answer may be a 5xx, have an undocumented status or content type, or differ from its schema.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import schemathesis
import structlog
from fastapi import APIRouter, FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.responses import PlainTextResponse, Response

from carillon.gateway.app import create_app
from carillon.gateway.context import SignedIn
from carillon.gateway.manifest import Manifest
from carillon.gateway.routing import router
from carillon.identity.auth.api import IdentityAuthenticator
from carillon.kernel.clock import SystemClock
from carillon.ops.settings import Settings
from carillon.storage.blobs import Blobs
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures.database import VAULT, Urls
from tests.fixtures.isolation import Place, kinds_of, operations
from tests.fixtures.operations import ENTRIES, KINDS, manifests, root_routers, unlimited

# Under a minute on two idle cores; a busy machine needs more.
pytestmark = pytest.mark.timeout(400)

EXAMPLES = int(os.environ.get("CARILLON_SCHEMA_EXAMPLES", "4"))
"""Per operation and mode; some hundreds are a matter of an hour."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOUNDED = hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
ENDING = {"logout", "switch_tenant"}
"""They end the very session they are called with, so each gets one of its own."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
async def place(app_resources: Resources, owner: "asyncpg.Connection[Any]", tenant: UUID) -> Place:
    """A tenant with an owner; its objects are made in the test's own loop."""
    resources = unlimited(app_resources)
    app = create_app(manifests(), resources, IdentityAuthenticator(resources), routers=root_routers())
    made = Place(tenant, app, owner, KINDS, ENTRIES)
    await made.settle()
    return made


def served(urls: Urls, settings: Settings, services: Sequence[Manifest], routers: Sequence[APIRouter] = ()) -> FastAPI:
    """The same application in schemathesis's loop, with a pool of its own that its lifespan closes."""
    database = Database(urls.app, pool_size=5)
    resources = unlimited(Resources(settings, database, VAULT, Blobs(settings.data / "blobs"), SystemClock()))

    @asynccontextmanager
    async def pool(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await database.close()

    return create_app(services, resources, IdentityAuthenticator(resources), routers=routers, hooks=[pool])


async def test_answers_are_as_described(place: Place, urls: Urls, settings: Settings) -> None:
    ids = {
        operation.name: await place.objects(operation)
        for operation in operations(place.app)
        if kinds_of(operation, ENTRIES[operation.name])
    }
    credential = (await place.admin()).headers
    app = served(urls, settings, manifests(), root_routers())
    try:
        own = {name: (await place.admin()).headers for name in ENDING}
        faults = await asyncio.to_thread(examine, app, credential, ids, own)
    finally:
        await asyncio.to_thread(asgi.shutdown_lifespans)
    assert not faults, "\n\n".join(faults)


async def test_what_differs_is_found(place: Place, urls: Urls, settings: Settings) -> None:
    crooked = router("/crooked", "crooked")

    @crooked.get("/text")
    async def answer_text(context: SignedIn) -> PlainTextResponse:
        return PlainTextResponse("not JSON")

    @crooked.get("/bug")
    async def answer_bug(context: SignedIn) -> dict[str, str]:
        raise RuntimeError

    @crooked.get("/teapot")
    async def answer_teapot(context: SignedIn, response: Response) -> dict[str, str]:
        response.status_code = 418
        return {}

    @crooked.get("/fine")
    async def answer_fine(context: SignedIn) -> dict[str, str]:
        return {"fine": "yes"}

    app = served(urls, settings, [Manifest("crooked", (crooked,))])
    try:
        faults = await asyncio.to_thread(examine, app, (await place.admin()).headers, {})
    finally:
        await asyncio.to_thread(asgi.shutdown_lifespans)
    assert sorted({fault.split(" ")[0] for fault in faults}) == ["answer_bug", "answer_teapot", "answer_text"], faults


def examine(
    app: FastAPI,
    credential: dict[str, str],
    ids: dict[str, dict[str, str]],
    own: Mapping[str, dict[str, str]] = MappingProxyType({}),
) -> list[str]:
    """Faults of all operations; half of what is sent fits the schema, half does not.

    Args:
        app: What is examined.
        credential: Headers that sign in.
        ids: Things that are there, by operation and parameter.
        own: Headers of operations that are not to be called with the others' credential.
    """
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    faults = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        name = operation.definition.raw["operationId"]
        for mode in schemathesis.GenerationMode:
            fault = attempt(operation.as_strategy(mode), own.get(name, credential), ids.get(name, {}))
            if fault:
                faults.append(f"{name} ({mode.value}): {fault}")
    return faults


def attempt(cases: Any, credential: dict[str, str], ids: dict[str, str]) -> str | None:
    """Send examples of one operation, to things that are there whenever the id is a valid one."""

    @BOUNDED
    @given(cases)
    def run(case: Any) -> None:
        for parameter, key in ids.items():
            if _is_id((case.path_parameters or {}).get(parameter)):
                case.path_parameters[parameter] = key
        # Credentials are made up too; ours shall count.
        case.headers.pop("Authorization", None)
        case.cookies.clear()
        case.call_and_validate(headers=credential, checks=CHECKS)

    try:
        run()
    except Unsatisfiable:
        # There is nothing to get wrong in an operation without parameters and body.
        return None
    except (FailureGroup, Exception) as error:  # noqa: BLE001 - all faults are collected
        return "\n".join(str(part) for part in getattr(error, "exceptions", [error]))[:1500]
    return None


def _is_id(value: Any) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True
