"""Campaigns and timers over HTTP."""

from typing import Any
from uuid import UUID

import pytest

from carillon.gateway.app import create_app
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import Permission, compile_permissions
from carillon.scheduling.campaigns import api
from carillon.scheduling.campaigns.manifest import manifest as campaigns_manifest
from carillon.scheduling.timers.manifest import manifest as timers_manifest
from carillon.storage.resources import Resources
from tests.fixtures.api import Client, FakeAuthenticator
from tests.fixtures.delivery import add_account, add_people

CAMPAIGNS, TIMERS = "/api/v1/campaigns", "/api/v1/timers"
CAMPAIGN: dict[str, Any] = {
    "name": "Spring",
    "platforms": ["telegram"],
    "rule": {"all": []},
    "variants": [{"name": "A", "weight": 2, "texts": {"": "Hi {{ name }}", "zh-CN": "你好"}}],
}


@pytest.fixture
def authenticator() -> FakeAuthenticator:
    return FakeAuthenticator()


@pytest.fixture
def anyone(app_resources: Resources, authenticator: FakeAuthenticator) -> Client:
    return Client(create_app([campaigns_manifest, timers_manifest], app_resources, authenticator))


@pytest.fixture
def client(anyone: Client, authenticator: FakeAuthenticator, tenant: UUID) -> Client:
    return anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}")


def only(anyone: Client, authenticator: FakeAuthenticator, tenant: UUID, *permissions: Permission) -> Client:
    return anyone.having(authorization=f"Bearer {authenticator.admit(tenant, compile_permissions(permissions))}")


async def test_the_whole_way(client: Client, worker_resources: Resources, tenant: UUID) -> None:
    async with worker_resources.database.transaction(tenant) as tx:
        account = await add_account(tx)
        await add_people(tx, 3, name="=HYPERLINK(1)")
        (person,) = await add_people(tx, 1, name="Ann")
    made = await client.post(CAMPAIGNS, CAMPAIGN)
    assert made.status == 201, made.body
    campaign = made.json()
    path = f"{CAMPAIGNS}/{campaign['id']}"
    changed = await client.request("PUT", path, json={**CAMPAIGN, "name": "Summer", "version": campaign["version"]})
    assert (changed.status, changed.json()["name"]) == (200, "Summer")
    stale = await client.request("PUT", path, json={**CAMPAIGN, "version": campaign["version"]})
    assert (stale.status, stale.code) == (409, "campaign_changed")
    review = (await client.get(f"{path}/review")).json()
    assert (review["sendable"], review["by_account"], review["warnings"]) == (4, {str(account): 4}, [])
    test = {"contact_id": str(person), "account_id": str(account), "variant": "A"}
    sent = await client.post(f"{path}/test", test)
    assert (sent.status, sent.json()["body"]) == (202, "Hi Ann")
    assert (await client.post(f"{path}/start")).json()["state"] == "planning"
    again = await client.post(f"{path}/start")
    assert (again.status, again.code, again.json()["place"]) == (409, "campaign_wrong_state", "state")
    await api.plan(worker_resources, tenant, UUID(campaign["id"]))
    assert (await client.post(f"{path}/pause")).json()["state"] == "paused"
    assert (await client.post(f"{path}/resume")).json()["state"] == "running"
    assert (await client.get(f"{path}/progress")).json()["states"] == {"queued": 4}
    page = (await client.get(f"{path}/recipients", query={"limit": 3, "state": "queued"})).json()
    rest = (await client.get(f"{path}/recipients", query={"cursor": page["next_cursor"]})).json()
    assert (len(page["items"]), len(rest["items"]), rest["next_cursor"]) == (3, 1, None)
    file = await client.get(f"{path}/recipients.csv")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    lines = file.body.decode("utf-8-sig").splitlines()
    assert len(lines) == 5
    assert sum(",'=HYPERLINK(1)," in line for line in lines) == 3
    assert (await client.post(f"{path}/cancel")).json()["state"] == "cancelled"
    assert (await client.get(f"{path}/progress")).json()["states"] == {"cancelled": 4}
    copy = await client.post(f"{path}/clone", {})
    assert (copy.status, copy.json()["name"], copy.json()["parent_id"]) == (201, "Summer (copy)", campaign["id"])
    listed = (await client.get(CAMPAIGNS, query={"state": "draft", "query": "SUMM"})).json()["items"]
    assert [one["id"] for one in listed] == [copy.json()["id"]]
    assert (await client.request("DELETE", f"{CAMPAIGNS}/{copy.json()['id']}")).status == 204


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"colour": "red"}, "body.colour"),
        ({"name": ""}, "body.name"),
        ({"name": "a\u202eb"}, "body.name"),
        ({"platforms": ["pigeon"]}, "body.platforms.0"),
        ({"platforms": ["telegram", "telegram"]}, "platforms"),
        ({"variants": []}, "body.variants"),
        ({"variants": [{"name": "A", "weight": 1001, "texts": {"": "x"}}]}, "body.variants.0.weight"),
        ({"variants": [{"name": "A", "texts": {"": "x"}}] * 11}, "body.variants"),
        ({"variants": [{"name": "A", "texts": {"": "x"}}] * 2}, "variants"),
        ({"variants": [{"name": "A", "texts": {"de": "x"}}]}, "variants.0.texts"),
        ({"variants": [{"name": "A", "texts": {"": "x", "german!": "x"}}]}, "variants.0.texts.german!"),
        ({"variants": [{"name": "A", "texts": {"": "x", "DE": "x", "de": "y"}}]}, "variants.0.texts.de"),
        ({"variants": [{"name": "A", "texts": {"": "{{ nonsense }}"}}]}, "variants.0.texts.*, character 1"),
        ({"rule": None}, "segment_id"),
        ({"rule": {"attribute": "nonsense", "operator": "is", "value": 1}}, "rule.attribute"),
        ({"rule": None, "segment_id": str(uuid7())}, "segment_id"),
        ({"account_ids": [str(uuid7())]}, "account_ids"),
        ({"schedule": {"kind": "at"}}, "schedule.at"),
        ({"schedule": {"kind": "at", "at": "2030-01-01T10:00:00"}}, "schedule.at"),
        ({"schedule": {"kind": "local", "at": "2030-01-01T10:00:00Z"}}, "schedule.at"),
        ({"schedule": {"kind": "at", "at": "9999-12-31T23:59:59-14:00"}}, "schedule.at"),
        ({"schedule": {"kind": "recurring", "cron": "* * * *"}}, "schedule.cron"),
        ({"schedule": {"kind": "now", "zone": "Mars/Olympus"}}, "schedule.zone"),
        ({"guards": {"failure_rate": 1.5}}, "body.guards.failure_rate"),
    ],
)
async def test_refused_with_a_place(client: Client, change: dict[str, Any], place: str) -> None:
    answer = await client.post(CAMPAIGNS, {**CAMPAIGN, **change})
    assert answer.status in (400, 422), answer.body
    assert answer.json()["place"] == place
    assert answer.code


async def test_a_time_is_text(client: Client) -> None:
    answer = await client.post(CAMPAIGNS, {**CAMPAIGN, "schedule": {"kind": "at", "at": 1_900_000_000}})
    assert (answer.status, answer.code) == (422, "invalid_fields")


async def test_permissions(anyone: Client, authenticator: FakeAuthenticator, client: Client, tenant: UUID) -> None:
    path = f"{CAMPAIGNS}/{(await client.post(CAMPAIGNS, CAMPAIGN)).json()['id']}"
    writer = only(anyone, authenticator, tenant, Permission.CAMPAIGNS_WRITE, Permission.CAMPAIGNS_READ)
    assert (await writer.post(f"{path}/clone", {})).status == 201
    for act in ("start", "pause", "resume", "cancel"):
        assert (await writer.post(f"{path}/{act}")).code == "missing_permission"
    assert (await writer.get(f"{path}/recipients.csv")).code == "missing_permission"
    timer = {"name": "T", "cron": "0 9 * * *", "action": {"kind": "start_campaign", "campaign_id": path[-36:]}}
    keeper = only(anyone, authenticator, tenant, Permission.TIMERS_WRITE, Permission.TIMERS_READ)
    assert (await keeper.post(TIMERS, timer)).code == "missing_permission"
    assert (await keeper.get(TIMERS)).status == 200


async def test_timers(client: Client, worker_resources: Resources, tenant: UUID) -> None:
    async with worker_resources.database.transaction(tenant) as tx:
        await add_account(tx)
    campaign_id = (await client.post(CAMPAIGNS, CAMPAIGN)).json()["id"]
    body = {
        "name": "Mondays", "cron": "0 9 * * 1", "zone": "Asia/Shanghai",
        "action": {"kind": "start_campaign", "campaign_id": campaign_id},
    }  # fmt: skip
    made = await client.post(TIMERS, body)
    assert made.status == 201, made.body
    path = f"{TIMERS}/{made.json()['id']}"
    assert made.json()["next_at"].endswith("T01:00:00Z")
    run = (await client.post(f"{path}/run")).json()
    assert run["outcome"] == "done"
    assert (await client.get(f"{CAMPAIGNS}/{run['result']['campaign_id']}")).json()["state"] == "planning"
    assert (await client.get(f"{path}/history")).json()["items"] == [run]
    off = await client.request("PUT", path, json={**body, "enabled": False, "version": made.json()["version"]})
    assert (off.status, off.json()["next_at"]) == (200, None)
    assert [one["id"] for one in (await client.get(TIMERS)).json()["items"]] == [made.json()["id"]]
    assert (await client.request("DELETE", path)).status == 204
    assert (await client.get(path)).code == "timer_not_found"
    for change, place in (
        ({"cron": "x"}, "cron"),
        ({"zone": "x"}, "zone"),
        ({"action": {"kind": "x"}}, "body.action"),
        (
            {"action": {"kind": "start_campaign", "campaign_id": campaign_id, "more": 1}},
            "body.action.start_campaign.more",
        ),
        ({"more": 1}, "body.more"),
    ):
        answer = await client.post(TIMERS, {**body, **change})
        assert (answer.status in (400, 422), answer.json()["place"]) == (True, place)
