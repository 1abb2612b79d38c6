"""The HTTP side of consents, suppressions and the policy."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from fastapi import FastAPI

from carillon.audience.consents.manifest import manifest
from carillon.gateway.app import create_app
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import Permission, compile_permissions
from carillon.storage.resources import Resources
from tests.fixtures.api import Client, FakeAuthenticator

from .people import add_person

PROOF = {"proof": "https://shop.example/form/7"}
GRANT = {"purpose": "marketing", "action": "granted", **PROOF}
TELEGRAM = {"platform": "telegram", "purpose": "marketing"}


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
async def person(app_resources: Resources, tenant: UUID) -> str:
    async with app_resources.database.transaction(tenant) as tx:
        return f"/api/v1/contacts/{await add_person(tx, phone='+4930123456')}"


async def standing(client: Client, person: str) -> Any:
    return (await client.get(f"{person}/standing", query=TELEGRAM)).json()


async def test_a_consent_is_recorded_shown_and_withdrawn(client: Client, person: str):
    assert (await standing(client, person))["reason"] == "no_consent"
    made = await client.post(f"{person}/consents", json=GRANT)
    assert made.status == 201
    assert (await standing(client, person))["sendable"] is True
    (line,) = (await client.get(f"{person}/consents")).json()["items"]
    assert (line["id"], line["proof"], line["actor_kind"]) == (made.json()["id"], PROOF["proof"], "user")
    await client.post(f"{person}/consents", json={"purpose": "marketing", "action": "withdrawn"})
    assert (await standing(client, person))["reason"] == "consent_withdrawn"


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        ({**GRANT, "proof": None}, "consent_proof_missing", "proof"),
        ({**GRANT, "at": "2800-01-01T00:00:00Z"}, "consent_in_future", "at"),
        ({**GRANT, "at": "2026-01-01T00:00:00Z", "expires_at": "2025-01-01T00:00:00Z"}, "consent_over", "expires_at"),
    ],
)
async def test_a_consent_without_evidence_is_refused(
    client: Client, person: str, body: dict[str, Any], code: str, place: str
):
    answer = await client.post(f"{person}/consents", json=body)
    assert (answer.status, answer.code, answer.json()["place"]) == (400, code, place)
    assert (await client.get(f"{person}/consents")).json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [{}, {**GRANT, "x": 1}, {**GRANT, "purpose": "fun"}, {**GRANT, "proof": "a\0b"}, {**GRANT, "at": "2026-01-01"}],
)
async def test_a_malformed_consent_is_refused(client: Client, person: str, body: dict[str, Any]):
    assert (await client.post(f"{person}/consents", json=body)).status in (400, 422)


async def test_an_opt_out_is_lifted_only_with_proof(client: Client, person: str):
    assert (await client.post(f"{person}/opt-in", json=PROOF)).code == "not_opted_out"
    assert (await client.post(f"{person}/opt-out", json={})).json() == {"changed": True}
    assert (await client.post(f"{person}/opt-out", json={})).json() == {"changed": False}
    assert (await standing(client, person))["reason"] == "opted_out"
    assert (await client.post(f"{person}/opt-in", json={})).status in (400, 422)
    assert (await client.post(f"{person}/opt-in", json=PROOF)).json() == {"changed": True}
    assert (await standing(client, person))["reason"] == "no_consent"


async def test_nobody_has_no_consents(client: Client):
    nobody = f"/api/v1/contacts/{uuid7()}"
    assert (await client.get(f"{nobody}/consents")).code == "contact_unknown"
    for path, body in (("consents", GRANT), ("opt-out", {}), ("opt-in", PROOF)):
        assert (await client.post(f"{nobody}/{path}", json=body)).code == "contact_unknown"


async def test_addresses_are_blocked_checked_and_unblocked(client: Client, person: str):
    phone = {"kind": "phone", "value": "+49 30 123456"}
    added = await client.post("/api/v1/suppressions", json={"addresses": [phone], "reason": "complaint"})
    assert (added.status, added.json()) == (201, {"added": 1, "opted_out": 1})
    assert (await standing(client, person))["reason"] == "opted_out"
    assert (await client.post("/api/v1/suppressions/check", json=phone)).json() == {"suppressed": True}
    listed = await client.get("/api/v1/suppressions", query={"kind": "phone"})
    (entry,) = listed.json()["items"]
    assert b"123456" not in listed.body
    gone = f"/api/v1/suppressions/{entry['id']}"
    assert (await client.request("DELETE", gone)).status in (400, 422)
    assert (await client.request("DELETE", gone, query={"reason": "typing error"})).status == 204
    assert (await client.request("DELETE", gone, query={"reason": "typing error"})).code == "suppression_unknown"
    assert (await client.post("/api/v1/suppressions/check", json=phone)).json() == {"suppressed": False}


async def test_a_bad_address_is_named_and_nothing_is_blocked(client: Client):
    body = {"addresses": [{"kind": "email", "value": "a@b.cd"}, {"kind": "phone", "value": "12"}], "reason": "list"}
    answer = await client.post("/api/v1/suppressions", json=body)
    assert (answer.code, answer.json()["place"]) == ("bad_address", "addresses[1].value")
    assert (await client.get("/api/v1/suppressions")).json()["items"] == []


async def test_the_policy_is_read_and_set_on_record(client: Client, app_resources: Resources, tenant: UUID):
    before = (await client.get("/api/v1/policy")).json()
    assert (before["quiet_start"], before["quiet_end"], before["frequency_max"]) == ("21:00", "08:00", 5)
    wanted = {
        **before,
        "quiet_start": "22:30",
        "frequency_max": None,
        "time_zone": "Asia/Shanghai",
        "stop_words": ["basta"],
    }
    wanted["confirmations"] = {"de": "Sie erhalten nichts mehr."}
    answer = await client.request("PUT", "/api/v1/policy", json=wanted)
    assert (answer.status, answer.json()) == (200, wanted)
    assert (await client.get("/api/v1/policy")).json() == wanted
    async with app_resources.database.transaction(tenant) as tx:
        row = await tx.first("SELECT action, details FROM identity.audit_entry ORDER BY seq DESC LIMIT 1")
    assert row is not None
    assert (row["action"], row["details"]["after"]["quiet_start"]) == ("policy.changed", "22:30")


async def test_a_bad_policy_changes_nothing(client: Client):
    answer = await client.request("PUT", "/api/v1/policy", json={"time_zone": "Mars/Olympus"})
    assert (answer.code, answer.json()["place"]) == ("bad_policy", "time_zone")
    assert (await client.get("/api/v1/policy")).json()["time_zone"] == "UTC"


async def test_permissions_and_tenants_hold(
    app: FastAPI, authenticator: FakeAuthenticator, person: str, tenant: UUID, other_tenant: UUID
):
    reader = authenticator.admit(tenant, compile_permissions([Permission.CONSENTS_READ]))
    client = Client(app).having(authorization=f"Bearer {reader}")
    assert (await client.get(f"{person}/consents")).status == 200
    for path in (f"{person}/consents", f"{person}/opt-out", f"{person}/opt-in", "/api/v1/suppressions"):
        assert (await client.post(path, json=GRANT)).status == 403
    assert (await client.request("PUT", "/api/v1/policy", json={})).status == 403
    stranger = Client(app).having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    assert (await stranger.get(f"{person}/consents")).status == 404
    assert (await stranger.post(f"{person}/opt-out", json={})).status == 404
    assert (await standing(stranger, person))["reason"] == "gone"
