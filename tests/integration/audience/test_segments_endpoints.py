"""The HTTP side of segments."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from fastapi import FastAPI

from carillon.audience.segments.manifest import manifest
from carillon.gateway.app import create_app
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import Permission, compile_permissions
from carillon.storage.resources import Resources
from tests.fixtures.api import Client, FakeAuthenticator

from .people import GRANTED, add_person

SEGMENTS = "/api/v1/segments"
VIP = {"attribute": "tags", "operator": "has", "value": "vip"}


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def authenticator() -> FakeAuthenticator:
    return FakeAuthenticator()


@pytest.fixture
def app(app_resources: Resources, authenticator: FakeAuthenticator) -> FastAPI:
    return create_app([manifest], app_resources, authenticator)


@pytest.fixture
def client(app: FastAPI, authenticator: FakeAuthenticator, tenant: UUID) -> Client:
    return Client(app).having(authorization=f"Bearer {authenticator.admit(tenant)}")


@pytest.fixture
async def people(app_resources: Resources, tenant: UUID) -> list[str]:
    async with app_resources.database.transaction(tenant) as tx:
        made = [await add_person(tx, tags=["vip"], consents=GRANTED) for _ in range(2)]
        made.append(await add_person(tx, tags=["vip"]))
        await add_person(tx)
    return [str(contact_id) for contact_id in made]


async def test_a_segment_from_birth_to_death(client: Client, people: list[str]):
    made = await client.post(SEGMENTS, json={"name": "VIPs", "rule": VIP})
    assert made.status == 201
    path = f"{SEGMENTS}/{made.json()['id']}"
    assert (await client.get(f"{path}/count")).json() == {"total": 3, "exact": True}
    assert {item["id"] for item in (await client.get(f"{path}/sample")).json()["items"]} == set(people)
    reach = (await client.get(f"{path}/reach", query={"platform": "telegram"})).json()
    assert (reach["sendable"], reach["excluded"]) == (2, {"no_consent": 1})
    change = {"name": "All", "rule": {"all": []}, "version": 1}
    assert (await client.request("PUT", path, json=change)).json()["version"] == 2
    assert (await client.request("PUT", path, json=change)).code == "segment_changed"
    assert (await client.get(f"{path}/count")).json()["total"] == 4
    assert [item["name"] for item in (await client.get(SEGMENTS)).json()["items"]] == ["All"]
    assert (await client.request("DELETE", path)).status == 204
    assert (await client.get(path)).code == "segment_unknown"


async def test_a_rule_can_be_tried_without_storing_it(client: Client, people: list[str]):
    body = {"rule": VIP, "platform": "telegram", "sample": 1}
    answer = (await client.post(f"{SEGMENTS}/preview", json=body)).json()
    assert answer["count"] == {"total": 3, "exact": True}
    assert [item["id"] for item in answer["sample"]] == people[-1:]
    assert answer["reach"]["excluded"] == {"no_consent": 1}
    assert (await client.post(f"{SEGMENTS}/preview", json={"rule": VIP})).json()["reach"] is None
    assert (await client.get(SEGMENTS)).json()["items"] == []


async def test_a_fault_names_its_place(client: Client):
    for path in (SEGMENTS, f"{SEGMENTS}/preview"):
        rule = {"all": [VIP, {**VIP, "value": 7}]}
        body = {"rule": rule} if path.endswith("preview") else {"rule": rule, "name": "x"}
        answer = await client.post(path, json=body)
        assert (answer.status, answer.code) == (400, "segment_rule_invalid")
        assert answer.json()["place"] == "rule.all[1].value"


@pytest.mark.parametrize(
    "body",
    [
        *[{}, {"name": "x"}, {"name": "x", "rule": []}],
        *[{"name": name, "rule": VIP} for name in ("", "a\0", "a\u202eb", "a\nb")],
    ],
)
async def test_a_malformed_segment_is_refused(client: Client, body: dict[str, Any]):
    assert (await client.post(SEGMENTS, json=body)).status in (400, 422)


async def test_names_and_uses_conflict_clearly(client: Client):
    first = (await client.post(SEGMENTS, json={"name": "1", "rule": VIP})).json()["id"]
    assert (await client.post(SEGMENTS, json={"name": "1", "rule": VIP})).code == "segment_name_taken"
    inside = {"attribute": "segment", "operator": "is", "value": first}
    await client.post(SEGMENTS, json={"name": "2", "rule": inside})
    assert (await client.request("DELETE", f"{SEGMENTS}/{first}")).code == "segment_in_use"
    change = {"name": "1", "rule": inside, "version": 1}
    assert (await client.request("PUT", f"{SEGMENTS}/{first}", json=change)).code == "segment_cycle"


async def test_permissions_and_tenants_hold(
    app: FastAPI, authenticator: FakeAuthenticator, client: Client, tenant: UUID, other_tenant: UUID
):
    made = (await client.post(SEGMENTS, json={"name": "VIPs", "rule": VIP})).json()["id"]
    reader = authenticator.admit(tenant, compile_permissions([Permission.SEGMENTS_READ]))
    reading = Client(app).having(authorization=f"Bearer {reader}")
    assert (await reading.get(f"{SEGMENTS}/{made}")).status == 200
    assert (await reading.post(SEGMENTS, json={"name": "x", "rule": VIP})).status == 403
    assert (await reading.request("DELETE", f"{SEGMENTS}/{made}")).status == 403
    stranger = Client(app).having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    for suffix in ("", "/count", "/sample"):
        assert (await stranger.get(f"{SEGMENTS}/{made}{suffix}")).status == 404
    assert (await stranger.get(f"{SEGMENTS}/{uuid7()}")).status == 404
    inside = {"attribute": "segment", "operator": "is", "value": made}
    assert (await stranger.post(f"{SEGMENTS}/preview", json={"rule": inside})).code == "segment_rule_invalid"
