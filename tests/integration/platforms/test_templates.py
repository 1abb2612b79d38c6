"""Stored templates over HTTP and a real database."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog

from carillon.gateway.app import create_app
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import Permission, compile_permissions
from carillon.platforms.templates.manifest import manifest
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures.api import Client, FakeAuthenticator
from tests.fixtures.delivery import add_people

TEXTS = {"": "Hi {{ name }} from {{ fields.city }}", "zh": "你好 {{ name }}"}
PATH = "/api/v1/templates"


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def authenticator() -> FakeAuthenticator:
    return FakeAuthenticator()


@pytest.fixture
def anyone(app_resources: Resources, authenticator: FakeAuthenticator) -> Client:
    return Client(create_app([manifest], app_resources, authenticator))


@pytest.fixture
def client(anyone: Client, authenticator: FakeAuthenticator, tenant: UUID) -> Client:
    return anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}")


async def stored(client: Client, name: str = "welcome", **content: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"name": name, "content": {"texts": TEXTS, **content}})
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json()
    return made


async def test_contents_make_versions_and_names_do_not(client: Client) -> None:
    made = await stored(client, hints={"whatsapp": "welcome_v2"})
    assert (made["version"], made["variables"]) == (1, ["name", "fields.city"])
    path = f"{PATH}/{made['id']}"
    renamed = (await client.request("PATCH", path, json={"name": "hello"})).json()
    same = (await client.request("PATCH", path, json={"content": made["content"]})).json()
    changed = (await client.request("PATCH", path, json={"content": {"texts": {"": "Bye"}}})).json()
    assert [one["version"] for one in (renamed, same, changed)] == [1, 1, 2]
    old = (await client.get(path, query={"version": 1})).json()
    assert (old["content"]["texts"], old["name"], old["latest"]) == (TEXTS, "hello", 2)
    first = (await client.get(f"{path}/versions", query={"limit": 1})).json()
    second = (await client.get(f"{path}/versions", query={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [first["items"][0]["version"], second["items"][0]["version"]] == [2, 1]
    assert (await client.get(path, query={"version": 3})).code == "template_not_found"


async def test_versions_cannot_be_changed_afterwards(client: Client, app_database: Database, tenant: UUID) -> None:
    made = await stored(client)
    for statement in ("UPDATE platforms.template_version SET texts = '{}'", "DELETE FROM platforms.template_version"):
        async with app_database.transaction(tenant) as tx:
            with pytest.raises(Exception, match="permission denied"):
                await tx.execute(statement)
    assert (await client.get(f"{PATH}/{made['id']}")).json()["content"]["texts"] == TEXTS


async def test_faults_are_told_with_their_places(client: Client) -> None:
    broken = {"texts": {"": "Hi", "zh-CN": "一二三四五六七八九十一{{ 名 }}"}}
    answer = await client.post(PATH, json={"name": "x", "content": broken})
    assert (answer.status, answer.code) == (400, "bad_template")
    assert answer.json()["place"] == "texts.zh-CN, character 12"
    checked = (await client.post(f"{PATH}/validate", json=broken)).json()
    assert (checked["valid"], checked["faults"][0]["place"]) == (False, "texts.zh-CN, character 12")
    assert (await client.get(PATH)).json()["items"] == []


async def test_a_name_is_taken_once_and_found(client: Client) -> None:
    made = await stored(client, "100%_Welcome")
    again = await client.post(PATH, json={"name": "100%_Welcome", "content": {"texts": TEXTS}})
    assert (again.status, again.code) == (409, "template_name_taken")
    other = await stored(client, "other")
    taken = await client.request("PATCH", f"{PATH}/{other['id']}", json={"name": "100%_Welcome"})
    assert taken.code == "template_name_taken"
    found = (await client.get(PATH, query={"query": "%_w"})).json()["items"]
    assert [one["id"] for one in found] == [made["id"]]


async def test_archived_ones_leave_the_list_and_come_back(client: Client) -> None:
    made = await stored(client)
    path = f"{PATH}/{made['id']}"
    assert (await client.post(f"{path}/archive")).json()["archived_at"] is not None
    assert (await client.get(PATH)).json()["items"] == []
    assert len((await client.get(PATH, query={"archived": True})).json()["items"]) == 1
    assert (await client.post(f"{path}/restore")).json()["archived_at"] is None


async def test_previews_are_of_real_people(
    client: Client, anyone: Client, authenticator: FakeAuthenticator, app_database: Database, tenant: UUID
) -> None:
    async with app_database.transaction(tenant) as tx:
        (ann,) = await add_people(tx, 1, name="{{ name }}", fields={"city": "Köln"}, language="en")
        (wang,) = await add_people(tx, 1, name="王", language="zh-CN")
        (ben,) = await add_people(tx, 1, name="Ben", language="en")
    made = await stored(client)
    path = f"{PATH}/{made['id']}/preview"
    shown = {person: (await client.post(path, json={"contact_id": str(person)})).json() for person in (ann, wang, ben)}
    assert shown[ann] == {"language": "", "text": "Hi {{ name }} from Köln", "missing": []}
    assert shown[wang] == {"language": "zh", "text": "你好 王", "missing": []}
    assert shown[ben] == {"language": "", "text": None, "missing": ["fields.city"]}
    unsaved = {"contact_id": str(ben), "language": "zh", "content": {"texts": TEXTS}}
    assert (await client.post(f"{PATH}/preview", json=unsaved)).json()["text"] == "你好 Ben"
    assert (await client.post(path, json={"contact_id": str(uuid7())})).code == "contact_not_found"
    token = authenticator.admit(tenant, compile_permissions([Permission.TEMPLATES_READ]))
    curious = anyone.having(authorization=f"Bearer {token}")
    assert (await curious.post(path, json={"contact_id": str(ben)})).code == "missing_permission"


async def test_tenants_are_apart_and_acts_on_record(
    client: Client,
    anyone: Client,
    authenticator: FakeAuthenticator,
    tenant: UUID,
    other_tenant: UUID,
    owner: "asyncpg.Connection[Any]",
) -> None:
    made = await stored(client)
    stranger = anyone.having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    path = f"{PATH}/{made['id']}"
    answers = [
        await stranger.get(path),
        await stranger.request("PATCH", path, json={"name": "mine"}),
        await stranger.get(f"{path}/versions"),
        await stranger.post(f"{path}/archive"),
        await stranger.post(f"{path}/preview", json={"contact_id": str(uuid7())}),
    ]
    assert {answer.status for answer in answers} == {404}
    await stored(stranger)
    rows = await owner.fetch("SELECT action FROM identity.audit_entry WHERE tenant_id = $1", tenant)
    assert [row["action"] for row in rows] == ["template.created"]
