"""Handing out everything held about a person, and removing it."""

import json
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from carillon.audience.consents import api as consents
from carillon.audience.contacts import api
from carillon.audience.contacts import people as people_module
from carillon.audience.contacts.contracts import Contact
from carillon.audience.contacts.errors import ContactGone, ContactNotFound, NotConfirmed
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from tests.fixtures.database import VAULT

from .import_files import imported
from .test_contacts import change, found, make
from .test_merge import merge, say


class Notes:
    """A service above that knows something about people."""

    name = "notes"

    def __init__(self) -> None:
        self.held: dict[UUID, list[str]] = {}
        self.erased: list[Contact] = []

    async def export(self, tx: Tx, contact: Contact) -> dict[str, Any]:
        return {"texts": self.held.get(contact.id, [])}

    async def erase(self, tx: Tx, contact: Contact) -> None:
        self.erased.append(contact)
        self.held.pop(contact.id, None)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    monkeypatch.setattr(people_module, "_providers", {})
    provider = Notes()
    api.register_person_data(provider)
    return provider


@pytest.fixture
async def tx(app_resources: Resources, tenant: UUID) -> Any:
    async with app_resources.database.transaction(tenant) as opened:
        yield opened


async def erase(tx: Tx, contact_id: UUID, confirm: UUID | None = None) -> Contact:
    subject = system_subject(tx.tenant)
    return await api.erase_person(tx, subject, contact_id, confirm=confirm or contact_id, vault=VAULT)


async def test_the_export_holds_every_part(tx: Tx, notes: Notes):
    one = await make(tx, ("phone", "+4915123456789"), name="Ada", tags=["a"])
    two = await make(tx, ("telegram_id", "7"), name="Augusta")
    await say(tx, one.id, "granted")
    notes.held[two.id] = ["likes bells"]
    await merge(tx, one, two)
    answer = await api.export_person(tx, system_subject(tx.tenant), one.id)
    data = json.loads(TypeAdapter(dict[str, object]).dump_json(answer))
    assert data["contact"]["name"] == "Ada"
    assert {identity["value"] for identity in data["contact"]["identities"]} == {"+4915123456789", "7"}
    assert [merged["name"] for merged in data["merged"]] == ["Augusta"]
    assert [line["entry"]["action"] for line in data["consents"]] == ["granted"]
    assert {"texts": ["likes bells"]} in data["notes"]


async def test_nothing_that_identifies_remains(tx: Tx, notes: Notes, owner: Any):
    one = await make(tx, ("phone", "+4915123456789"), ("email", "ada@x.org"), name="Ada Lovelace", tags=["vip"])
    two = await make(tx, ("telegram_username", "ada_l"), name="Augusta King")
    await say(tx, one.id, "granted")
    await merge(tx, one, two)
    erased = await erase(tx, one.id)
    assert erased.erased_at is not None
    assert erased.opted_out_at is not None
    assert (erased.name, erased.tags, erased.peers, erased.identities, erased.consents) == ("", (), {}, (), {})
    assert [contact.id for contact in notes.erased] == sorted([one.id, two.id])
    assert notes.erased[0].identities
    for table in await owner.fetch(
        "SELECT c.table_schema || '.' || c.table_name AS name FROM information_schema.columns c "
        "JOIN information_schema.tables t USING (table_schema, table_name) "
        "WHERE c.column_name = 'tenant_id' AND t.table_type = 'BASE TABLE' AND c.table_name NOT LIKE 'event_p%' "
        "AND c.table_schema IN ('audience', 'events', 'identity', 'platforms', 'scheduling', 'gateway')"
    ):
        rows = await tx.all(
            f"SELECT t::text AS line FROM {table['name']} t WHERE tenant_id = :tenant", {"tenant": tx.tenant}
        )
        for row in rows:
            for trace in ("Ada", "Augusta", "15123456789", "ada@x.org", "ada_l", "vip"):
                assert trace not in row["line"], table["name"]


async def test_no_import_shows_an_erased_person(worker_resources: Resources, tenant: UUID, owner: Any):
    await imported(worker_resources, tenant, "phone,name\n+49 1512 3456789,Ada\n+4915123456700,Eve\n")
    await imported(worker_resources, tenant, "phone,name\n+4915123456701,Bob\n")
    contact_id = await owner.fetchval("SELECT id FROM audience.contact WHERE tenant_id = $1 AND name = 'Ada'", tenant)
    async with worker_resources.database.transaction(tenant) as tx:
        await erase(tx, contact_id)
    kept = await owner.fetch(
        "SELECT format::text || report::text AS shown FROM audience.contact_import WHERE tenant_id = $1", tenant
    )
    assert len(kept) == 2
    assert not any("Ada" in row["shown"] for row in kept)
    assert any("Bob" in row["shown"] for row in kept)


async def test_an_import_does_not_bring_an_erased_person_back(worker_resources: Resources, tenant: UUID, owner: Any):
    async with worker_resources.database.transaction(tenant) as tx:
        one = await make(tx, ("phone", "+4915123456789"))
        await erase(tx, one.id)
    await imported(worker_resources, tenant, "phone,name\n+4915123456789,Ada\n")
    out = await owner.fetchval(
        "SELECT c.opted_out_at IS NOT NULL FROM audience.contact c JOIN audience.identity i ON i.contact_id = c.id "
        "WHERE c.tenant_id = $1",
        tenant,
    )
    assert out is True


async def test_error_rows_that_show_the_person_go_too(worker_resources: Resources, tenant: UUID, owner: Any):
    content = "phone,email\n+4915123456789,\n0049 151 / 234-567-89,x@x.org\nabc,\n"
    done = await imported(worker_resources, tenant, content)
    count = "SELECT count(*) FROM audience.import_fault WHERE import_id = $1"
    assert await owner.fetchval(count, done.id) == 2
    async with worker_resources.database.transaction(tenant) as tx:
        contact = await api.resolve(tx, vault=VAULT, platform="whatsapp", kind="phone", value="+4915123456789")
        await erase(tx, contact.id)
    assert await owner.fetchval(count, done.id) == 1


async def test_erasing_must_be_confirmed_and_happens_once(tx: Tx, notes: Notes):
    one = await make(tx, ("phone", "+4915123456789"), name="Ada")
    with pytest.raises(NotConfirmed):
        await erase(tx, one.id, confirm=uuid7())
    with pytest.raises(ContactNotFound):
        await erase(tx, uuid7())
    await erase(tx, one.id)
    with pytest.raises(ContactGone):
        await erase(tx, one.id)
    with pytest.raises(ContactGone):
        await change(tx, one, name="Back")
    assert await found(tx, query="Ada") == []
    blocked = await consents.suppressed_among(tx, VAULT, [("phone", "+4915123456789")])
    assert blocked == {("phone", "+4915123456789")}


async def test_erasing_is_audited_without_naming(tx: Tx, notes: Notes, monkeypatch: pytest.MonkeyPatch):
    lines: list[tuple[Any, ...]] = []

    async def record(*args: Any) -> None:
        lines.append(args[2:])

    monkeypatch.setattr("carillon.identity.audit.api.record", record)
    one = await make(tx, ("phone", "+4915123456789"), name="Ada")
    await erase(tx, one.id)
    assert lines == [("contact.erased", one.id, {})]
