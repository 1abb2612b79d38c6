"""Every operation × every role and credential × own, foreign and unknown ids: nobody sees or touches another's rows.

Generated from the application itself: an operation that nobody described in `tests/fixtures/operations.py` fails.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import pytest
import structlog
from fastapi import FastAPI

from carillon.gateway.app import create_app
from carillon.gateway.context import Context, allow
from carillon.gateway.manifest import Manifest
from carillon.gateway.routing import router
from carillon.identity.auth.api import IdentityAuthenticator
from carillon.kernel.permissions import Permission
from carillon.storage.resources import Resources
from tests.fixtures import toy
from tests.fixtures.api import Client
from tests.fixtures.isolation import (
    Entry,
    Kind,
    Operation,
    Place,
    call,
    check_foreign,
    check_roles,
    check_strangers,
    made_by,
    operations,
)
from tests.fixtures.operations import ENTRIES, KINDS, manifests, root_routers, unlimited

# Half a minute on two idle cores; a busy machine needs more.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


async def places(
    app: FastAPI,
    owner: "asyncpg.Connection[Any]",
    tenants: tuple[UUID, UUID],
    kinds: Mapping[str, Kind],
    entries: Mapping[str, Entry],
) -> tuple[Place, Place]:
    home, away = (Place(tenant, app, owner, kinds, entries) for tenant in tenants)
    await home.settle()
    await away.settle()
    return home, away


async def examine(home: Place, away: Place) -> list[str]:
    """All faults of all operations."""
    faults = []
    for operation in operations(home.app):
        entry = home.entries.get(operation.name)
        if entry is None:
            faults.append(f"{operation.name} has no entry in tests/fixtures/operations.py")
        else:
            faults += await examine_one(operation, home, away, entry)
    return faults


async def examine_one(operation: Operation, home: Place, away: Place, entry: Entry) -> list[str]:
    """All faults of one operation; one that cannot even be set up is a fault too."""
    try:
        if operation.is_open:
            return await examine_open(operation, home, entry)
        return [
            *await check_strangers(operation, home, entry),
            *await check_roles(operation, home, away, entry),
            *await check_foreign(operation, home, away, entry),
        ]
    except (AssertionError, LookupError, asyncpg.PostgresError) as error:
        return [f"{operation.name} cannot be examined: {error!r}"]
    finally:
        if operation.path.startswith("/api/v1/auth/"):
            # It may have ended sessions that the next ones would go on using.
            home.clients.clear()


async def examine_open(operation: Operation, home: Place, entry: Entry) -> list[str]:
    """Anyone may call it: it must not fail."""
    answer = await call(Client(home.app), operation, entry, await home.objects(operation))
    return [] if answer.status in entry.statuses else [f"{operation.name}: {answer.status} {answer.body[:300]!r}"]


async def test_every_operation_of_the_product(
    app_resources: Resources, owner: "asyncpg.Connection[Any]", tenant: UUID, other_tenant: UUID
) -> None:
    app = create_app(
        manifests(), unlimited(app_resources), IdentityAuthenticator(app_resources), routers=root_routers()
    )
    home, away = await places(app, owner, (tenant, other_tenant), KINDS, ENTRIES)
    faults = await examine(home, away)
    assert not faults, "\n".join(faults)


def test_no_entry_is_left_over(app_resources: Resources) -> None:
    app = create_app(manifests(), app_resources, IdentityAuthenticator(app_resources), routers=root_routers())
    assert set(ENTRIES) <= {operation.name for operation in operations(app)}


TOY_ENTRIES = {
    "create_live_ticket": Entry(),
    "create_note": Entry(body={"name": "Note {n}"}),
    "list_notes": Entry(),
    "export_notes": Entry(),
    "read_note": Entry(),
    "delete_note": Entry(),
    "upload_note": Entry(raw=b"x", headers={"content-type": "text/plain"}),
    "greet": Entry(),
}
TOY_KINDS = {"note": Kind(made_by("create_note"), "toy.note")}


async def toy_faults(resources: Resources, owner: "asyncpg.Connection[Any]", tenants: tuple[UUID, UUID]) -> list[str]:
    await toy.make_table(owner)
    app = create_app([toy.manifest], unlimited(resources), IdentityAuthenticator(resources))
    return await examine(*await places(app, owner, tenants, TOY_KINDS, TOY_ENTRIES))


async def test_the_matrix_passes_a_sound_service(
    app_resources: Resources, owner: "asyncpg.Connection[Any]", tenant: UUID, other_tenant: UUID
) -> None:
    assert await toy_faults(app_resources, owner, (tenant, other_tenant)) == []


async def test_the_matrix_finds_what_leaks(
    app_resources: Resources, owner: "asyncpg.Connection[Any]", tenant: UUID, other_tenant: UUID
) -> None:
    leaky = router("/leaky", "leaky")
    writer = Annotated[Context, allow(Permission.CONTACTS_WRITE)]

    @leaky.get("/{note_id}", name="read_note_of_anyone")
    async def read_note_of_anyone(context: writer, note_id: UUID) -> dict[str, str]:
        row = await owner.fetchrow("SELECT * FROM toy.note WHERE id = $1", note_id)
        return {"name": row["name"]} if row else {"name": ""}

    @leaky.delete("/{note_id}", name="spoil_note_of_anyone")
    async def spoil_note_of_anyone(context: writer, note_id: UUID) -> None:
        await owner.execute("UPDATE toy.note SET number = number + 1 WHERE id = $1", note_id)
        raise toy.NoteMissing

    @leaky.post("", name="forget_permission")
    async def forget_permission() -> None:
        raise toy.NoteMissing

    @leaky.put("", name="undescribed")
    async def undescribed(context: writer) -> None:
        return None

    entries = {
        **TOY_ENTRIES,
        "read_note_of_anyone": Entry(),
        "spoil_note_of_anyone": Entry(statuses=frozenset({404})),
        "forget_permission": Entry(),
    }
    await toy.make_table(owner)
    app = create_app(
        [toy.manifest, Manifest("leaky", (leaky,))], unlimited(app_resources), IdentityAuthenticator(app_resources)
    )
    faults = "\n".join(await examine(*await places(app, owner, (tenant, other_tenant), TOY_KINDS, entries)))
    assert "undescribed has no entry" in faults
    assert "read_note_of_anyone tells a foreign note_id from none" in faults
    assert "spoil_note_of_anyone changed a foreign note_id" in faults
    assert "forget_permission as owner: 404" in faults
    assert "create_note" not in faults
