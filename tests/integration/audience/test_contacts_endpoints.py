"""Contacts over HTTP."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from fastapi import FastAPI

from carillon.audience.contacts import api
from carillon.audience.contacts.manifest import manifest
from carillon.gateway.app import create_app
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import Permission, compile_permissions
from carillon.storage.resources import Resources
from tests.fixtures.api import Client, FakeAuthenticator

V1 = "/api/v1"
PHONE = {"kind": "phone", "value": "+49 151 23456789"}
FORMULA = '=HYPERLINK("http://evil";"x")'


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def authenticator() -> FakeAuthenticator:
    return FakeAuthenticator()


@pytest.fixture
async def app(app_resources: Resources, authenticator: FakeAuthenticator) -> FastAPI:
    return create_app([manifest], app_resources, authenticator)


@pytest.fixture
def client(app: FastAPI, authenticator: FakeAuthenticator, tenant: UUID) -> Client:
    return Client(app).having(authorization=f"Bearer {authenticator.admit(tenant)}")


async def make(client: Client, **body: Any) -> Any:
    answer = await client.post(f"{V1}/contacts", json=body)
    assert answer.status == 201, answer.body
    return answer.json()


async def test_a_contact_is_made_changed_found_and_erased(client: Client):
    made = await make(client, name="Ada", addresses=[PHONE], tags=["b", "a"])
    path = f"{V1}/contacts/{made['id']}"
    assert made["tags"] == ["a", "b"]
    assert made["identities"][0]["value"] == "+4915123456789"
    changed = await client.request("PATCH", path, json={"name": "Augusta"})
    assert (changed.json()["name"], changed.json()["tags"]) == ("Augusta", ["a", "b"])
    listed = (await client.get(f"{V1}/contacts", query={"query": "gusta", "tag": "a", "platform": "telegram"})).json()
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    timeline = (await client.get(f"{path}/timeline")).json()
    assert [event["type"] for event in timeline["items"]] == ["contact.updated", "contact.created"]
    assert (await client.get(f"{path}/data")).json()["contact"]["name"] == "Augusta"
    refused = await client.request("DELETE", path, query={"confirm": str(uuid7())})
    assert (refused.status, refused.code) == (400, "not_confirmed")
    erased = await client.request("DELETE", path, query={"confirm": made["id"]})
    assert (erased.status, erased.json()["name"]) == (200, "")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"nope": 1}, None),
        ({"addresses": [{"kind": "phone", "value": "12"}]}, "address_invalid"),
        ({"addresses": [{"kind": "fax", "value": "12"}]}, None),
        ({"time_zone": "Mars"}, "detail_invalid"),
        ({"fields": {"x": 1}}, "field_invalid"),
        ({"name": 7}, None),
    ],
)
async def test_bad_bodies_are_refused_with_a_code(client: Client, body: dict[str, Any], code: str | None):
    answer = await client.post(f"{V1}/contacts", json=body)
    assert 400 <= answer.status < 500
    assert code is None or answer.code == code


async def test_a_taken_address_names_its_owner(client: Client):
    made = await make(client, addresses=[PHONE])
    answer = await client.post(f"{V1}/contacts", json={"addresses": [PHONE]})
    assert (answer.status, answer.code) == (409, "address_taken")
    assert made["id"] in answer.body.decode()


async def test_fields_tags_and_merges(client: Client):
    field = await client.post(f"{V1}/contact-fields", json={"key": "city", "label": "City", "type": "text"})
    assert field.status == 201
    one = await make(client, name="One", fields={"city": "Bonn"})
    two = await make(client, name="Two")
    action = await client.post(f"{V1}/contact-tags/actions", json={"tag": "new", "contacts": {"query": "o"}})
    assert (action.status, action.json()["count"]) == (201, 2)
    assert (await client.get(f"{V1}/contact-tags")).json() == [{"tag": "new", "count": 2}]
    undone = await client.post(f"{V1}/contact-tags/actions/{action.json()['id']}/undo")
    assert undone.json()["undone_at"]
    merge = await client.post(f"{V1}/contact-merges", json={"winner_id": two["id"], "loser_id": one["id"]})
    assert merge.status == 201
    assert (await client.get(f"{V1}/contacts/{two['id']}")).json()["fields"] == {"city": "Bonn"}
    assert (await client.post(f"{V1}/contact-merges/{merge.json()['id']}/undo")).status == 200
    assert (await client.post(f"{V1}/contact-merges/{merge.json()['id']}/undo")).code == "already_undone"
    assert len((await client.get(f"{V1}/contact-merges")).json()["items"]) == 1
    dropped = await client.request("DELETE", f"{V1}/contact-fields/{field.json()['id']}")
    assert dropped.status == 204


async def send_file(client: Client, content: bytes, name: str = "people.csv", **query: Any) -> Any:
    headers = {"content-type": "text/csv", "content-disposition": f'attachment; filename="{name}"'}
    return await client.request("POST", f"{V1}/imports", body=content, headers=headers, query=query or None)


async def test_an_import_from_upload_to_error_rows(client: Client, worker_resources: Resources, tenant: UUID):
    content = f'phone,name\n+4915123456789,Ada\nabc,"{FORMULA.replace(chr(34), chr(34) * 2)}"\n'.encode()
    found = (await send_file(client, content)).json()
    assert found["format"]["columns"] == ["phone", "name"]
    assert found["format"]["sample"][0] == ["+4915123456789", "Ada"]
    path = f"{V1}/imports/{found['id']}"
    body = {"mapping": found["suggestion"]["mapping"], "tags": ["fair"], "region": "de"}
    assert (await client.request("PUT", f"{path}/options", json=body)).json()["status"] == "ready"
    assert (await client.post(f"{path}/check")).json()["status"] == "checking"
    await api.run_check(worker_resources, tenant, {"import_id": found["id"]})
    assert (await client.get(path)).json()["report"]["rejected"] == 1
    assert (await client.post(f"{path}/start")).status == 202
    await api.run_import(worker_resources, tenant, {"import_id": found["id"]})
    done = (await client.get(path)).json()
    assert (done["status"], done["created"], done["rejected"], done["done_bytes"]) == ("done", 1, 1, done["size"])
    listed = (await client.get(f"{path}/faults")).json()["items"]
    assert (listed[0]["row"], listed[0]["code"], listed[0]["raw"]["phone"]) == (3, "phone_not_a_number", "abc")
    file = await client.get(f"{path}/faults.csv")
    assert file.headers["content-type"].startswith("text/csv")
    text = file.body.decode("utf-8-sig")
    assert "phone_not_a_number" in text
    assert "\"'=HYPERLINK" in text
    assert (await client.post(f"{path}/cancel")).code == "wrong_import_state"
    assert [one["id"] for one in (await client.get(f"{V1}/imports")).json()["items"]] == [found["id"]]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty_file"), (b"%PDF-1.7 ...", "unknown_format"), (b"PK\x03\x04half", None), (b"\x00\x01\x02", None)],
)
async def test_unreadable_files_are_refused_and_not_kept(
    client: Client, content: bytes, code: str | None, app_resources: Resources, tenant: UUID, owner: Any
):
    answer = await send_file(client, content)
    assert answer.status == 400, answer.body
    assert code is None or answer.code == code
    assert await owner.fetchval("SELECT count(*) FROM audience.contact_import WHERE tenant_id = $1", tenant) == 0
    folder = app_resources.settings.data / "blobs" / str(tenant)
    assert not [one for one in folder.rglob("*") if one.is_file()]


async def test_a_made_up_encoding_is_refused(client: Client):
    answer = await send_file(client, b"phone\n+4915123456789\n", encoding="klingon")
    assert answer.status == 400


async def test_exports_hold_no_formulas(
    client: Client, app_resources: Resources, worker_resources: Resources, tenant: UUID
):
    await make(client, name=FORMULA, addresses=[PHONE], tags=["@evil"])
    await make(client, name="Other")
    made = (await client.post(f"{V1}/contact-exports", json={"contacts": {"query": "hyperlink"}})).json()
    path = f"{V1}/contact-exports/{made['id']}"
    assert (await client.get(f"{path}/file")).code == "export_not_found"
    await api.run_export(app_resources, tenant, {"export_id": made["id"]})
    done = (await client.get(path)).json()
    assert (done["status"], done["rows"]) == ("done", 1)
    text = (await client.get(f"{path}/file")).body.decode("utf-8-sig")
    assert "\"'=HYPERLINK" in text
    assert "'@evil" in text
    assert "Other" not in text
    assert "+4915123456789" in text


async def test_other_tenants_get_404(
    client: Client, app: FastAPI, authenticator: FakeAuthenticator, other_tenant: UUID
):
    made = await make(client, addresses=[PHONE])
    found = (await send_file(client, b"phone\n+4915123456780\n")).json()
    other = Client(app).having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    path = f"{V1}/contacts/{made['id']}"
    assert (await other.get(path)).status == 404
    assert (await other.get(f"{path}/timeline")).status == 404
    assert (await other.get(f"{path}/data")).status == 404
    assert (await other.request("PATCH", path, json={"name": "x"})).status == 404
    assert (await other.request("DELETE", path, query={"confirm": made["id"]})).status == 404
    for tail in ("", "/faults", "/faults.csv"):
        assert (await other.get(f"{V1}/imports/{found['id']}{tail}")).status == 404
    for act in ("check", "start", "cancel"):
        assert (await other.post(f"{V1}/imports/{found['id']}/{act}")).status == 404
    assert (await other.get(f"{V1}/contacts")).json()["items"] == []


async def test_reading_is_not_writing(app: FastAPI, authenticator: FakeAuthenticator, tenant: UUID):
    mask = compile_permissions([Permission.CONTACTS_READ])
    reader = Client(app).having(authorization=f"Bearer {authenticator.admit(tenant, mask)}")
    assert (await reader.get(f"{V1}/contacts")).status == 200
    assert (await reader.post(f"{V1}/contacts", json={})).code == "missing_permission"
    assert (await reader.get(f"{V1}/imports")).code == "missing_permission"
    assert (await reader.get(f"{V1}/contacts/{uuid7()}/data")).code == "missing_permission"
    assert (await reader.post(f"{V1}/contact-exports", json={})).code == "missing_permission"
