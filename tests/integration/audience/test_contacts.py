"""Contacts through the service's door."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from carillon.audience.consents import api as consents
from carillon.audience.contacts import api
from carillon.audience.contacts.contracts import Contact, ContactFilter, FieldType, Sender
from carillon.audience.contacts.errors import (
    AddressInvalid,
    AddressTaken,
    AlreadyUndone,
    ContactNotFound,
    DetailInvalid,
    FieldExists,
    FieldInvalid,
)
from carillon.events.history import list_events
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import system_subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from tests.fixtures.database import VAULT


async def make(tx: Tx, *addresses: tuple[str, str], **values: Any) -> Contact:
    details = api.check_details({"addresses": list(addresses), **values}, await api.all_fields(tx))
    return await api.create(tx, details, vault=VAULT)


async def change(tx: Tx, contact: Contact, **values: Any) -> Contact:
    details = api.check_details(values, await api.all_fields(tx))
    return await api.update(tx, contact.id, details, vault=VAULT)


async def found(tx: Tx, **wanted: Any) -> list[str]:
    page = await api.list_contacts(tx, ContactFilter(**wanted), PageRequest())
    return [contact.name for contact in page.items]


@pytest.fixture
async def tx(app_resources: Resources, tenant: UUID) -> Any:
    async with app_resources.database.transaction(tenant) as opened:
        yield opened


async def test_peers_follow_the_addresses(tx: Tx):
    made = await make(tx, ("phone", "+49 151 23456789"), ("telegram_username", "@Ada_L"), ("email", "Ada@X.org"))
    phone = "+4915123456789"
    assert made.peers == {"telegram": "ada_l", "whatsapp": phone, "custom": phone}
    assert made.email == "ada@x.org"
    assert made.time_zones == ("Europe/Berlin",)
    addresses = [("whatsapp_lid", "123456789"), ("email", "b@x.org"), ("telegram_id", "77")]
    changed = await change(tx, made, addresses=addresses)
    assert changed.peers == {"telegram": "77", "whatsapp": "123456789@lid", "custom": "b@x.org"}
    assert changed.email == "b@x.org"
    assert changed.time_zones == ()
    assert {identity.value for identity in changed.identities} == {"123456789@lid", "b@x.org", "77"}


async def test_a_known_zone_ends_the_guessing(tx: Tx):
    made = await make(tx, ("phone", "+12125550123"), time_zone="asia/shanghai")
    assert (made.time_zone, made.time_zones) == ("Asia/Shanghai", ())
    changed = await change(tx, made, time_zone=None)
    assert changed.time_zone is None
    assert "America/New_York" in changed.time_zones


async def test_an_address_belongs_to_one_contact(tx: Tx):
    first = await make(tx, ("phone", "+4915123456789"))
    with pytest.raises(AddressTaken) as caught:
        await make(tx, ("email", "a@x.org"), ("phone", "+49 (151) 23456789"))
    assert caught.value.data["contact_id"] == str(first.id)
    assert caught.value.place == "addresses[1]"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("phone", "123"),
        ("telegram_username", "x"),
        ("telegram_id", "-5"),
        ("whatsapp_bsuid", "nope"),
        ("email", "a@b"),
        ("custom_id", " "),
        ("fax", "1"),
    ],
)
async def test_bad_addresses_are_refused(tx: Tx, kind: str, value: str):
    with pytest.raises(AddressInvalid) as caught:
        await make(tx, (kind, value))
    assert caught.value.place == "addresses[0]"


@pytest.mark.parametrize(
    "values", [{"time_zone": "Mars"}, {"language": "!!"}, {"country": "XX"}, {"tags": [" "]}, {"name": "x" * 201}]
)
async def test_bad_details_are_refused(tx: Tx, values: dict[str, Any]):
    with pytest.raises(DetailInvalid):
        await make(tx, **values)


async def test_names_lose_what_could_deceive(tx: Tx):
    made = await make(tx, name="  evil\u202egnp.exe\x07 \n", first_name=None)
    assert made.name == "evil gnp.exe"


async def test_custom_fields_are_typed(tx: Tx):
    await api.define_field(tx, key="age", label="Age", kind=FieldType.NUMBER)
    await api.define_field(tx, key="plan", label="Plan", kind=FieldType.CHOICE, choices=("free", "paid"))
    await api.define_field(tx, key="born", label="Born", kind=FieldType.DATE)
    made = await make(tx, fields={"age": 41, "plan": "paid", "born": "1985-02-28"})
    assert made.fields == {"age": 41, "plan": "paid", "born": "1985-02-28"}
    for bad in ({"age": "41"}, {"age": True}, {"plan": "gold"}, {"born": "1985-02-30"}, {"none": 1}):
        with pytest.raises(FieldInvalid) as caught:
            await change(tx, made, fields=bad)
        assert caught.value.place == f"fields.{next(iter(bad))}"
    changed = await change(tx, made, fields={"age": None, "plan": "free"})
    assert changed.fields == {"plan": "free", "born": "1985-02-28"}
    with pytest.raises(FieldExists):
        await api.define_field(tx, key="age", label="Again", kind=FieldType.TEXT)
    await api.drop_field(tx, (await api.all_fields(tx))["plan"].id)
    assert (await api.get(tx, made.id)).fields == {"born": "1985-02-28"}


async def test_search_finds_parts_of_names_and_beginnings_of_addresses(tx: Tx):
    await make(tx, ("phone", "+8613800138000"), name="王小明")
    await make(tx, ("telegram_username", "ada_l"), ("phone", "+4915123456789"), name="Ada Lovelace")
    await make(tx, ("email", "grace@x.org"), name="Grace 100%")
    assert await found(tx, query="小明") == ["王小明"]
    assert await found(tx, query="LOVE") == ["Ada Lovelace"]
    assert await found(tx, query="@Ada_") == ["Ada Lovelace"]
    assert await found(tx, query="+49 (151) 234") == ["Ada Lovelace"]
    assert await found(tx, query="0086 138") == ["王小明"]
    assert await found(tx, query="grace@") == ["Grace 100%"]
    assert await found(tx, query="0%") == ["Grace 100%"]
    assert await found(tx, query="_") == []
    assert await found(tx, query="nobody") == []


async def test_filters_and_pages(tx: Tx):
    for n in range(7):
        await make(tx, ("phone", f"+491512345678{n}"), name=f"P{n}", tags=["even"] if n % 2 == 0 else [])
    await make(tx, name="Bare")
    assert await found(tx, tag="even") == ["P6", "P4", "P2", "P0"]
    assert await found(tx, platform="telegram", tag="even") == ["P6", "P4", "P2", "P0"]
    assert "Bare" not in await found(tx, platform="whatsapp")
    assert len(await found(tx, opted_out=False)) == 8
    assert await found(tx, opted_out=True) == []
    assert await found(tx, ids=()) == []
    names: list[str] = []
    cursor = None
    while True:
        page = await api.list_contacts(tx, ContactFilter(), PageRequest(limit=3, cursor=cursor))
        names += [contact.name for contact in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == ["Bare", *(f"P{n}" for n in range(6, -1, -1))]


async def test_updated_since_gives_the_order_of_change(app_resources: Resources, tenant: UUID):
    made = []
    for n in range(3):
        async with app_resources.database.transaction(tenant) as tx:
            made.append(await make(tx, name=f"P{n}"))
    async with app_resources.database.transaction(tenant) as tx:
        await change(tx, made[0], name="P0b")
    async with app_resources.database.transaction(tenant) as tx:
        since = ContactFilter(updated_since=made[1].updated_at)
        first = await api.list_contacts(tx, since, PageRequest(limit=2))
        rest = await api.list_contacts(tx, since, PageRequest(limit=2, cursor=first.next_cursor))
    assert [contact.name for contact in (*first.items, *rest.items)] == ["P1", "P2", "P0b"]


async def test_resolve_finds_or_makes(tx: Tx):
    first = await api.resolve(tx, VAULT, platform="telegram", kind="telegram_id", value="user42", name="Ada\x00\u202e")
    again = await api.resolve(tx, VAULT, platform="telegram", kind="telegram_id", value="42", name="Other")
    assert first.id == again.id
    contact = await api.get(tx, first.id)
    assert contact.name == "Ada"
    assert contact.peers == {"telegram": "42"}
    now = datetime.now(UTC)
    await api.touch_inbound(tx, {first.id: now})
    await api.touch_inbound(tx, {first.id: now - timedelta(days=1)})
    assert (await api.get(tx, first.id)).last_inbound_at == now
    events = await list_events(tx, PageRequest(), subject_id=first.id)
    assert [recorded.event.type for recorded in events.items] == ["contact.created"]


async def test_many_senders_resolve_in_their_order_each_once(tx: Tx):
    known = await api.resolve(tx, VAULT, platform="telegram", kind="telegram_id", value="7")
    names = ["8", "user7", "9", "8", "7"]
    found = await api.resolve_many(tx, VAULT, [Sender("telegram", "telegram_id", one, name=f"N{one}") for one in names])
    assert [one.id for one in found] == [found[0].id, known.id, found[2].id, found[0].id, known.id]
    assert len({one.id for one in found}) == 3
    assert (await api.get(tx, found[0].id)).peers == {"telegram": "8"}
    assert (await api.get(tx, found[2].id)).name == "N9"


async def test_twenty_at_once_resolve_the_same_crowd(app_resources: Resources, tenant: UUID, owner: Any):
    async def resolve(n: int) -> set[UUID]:
        crowd = [f"+49151234567{number:02}" for number in range(20)]
        async with app_resources.database.transaction(tenant) as tx:
            senders = [Sender("whatsapp", "phone", value) for value in (crowd if n % 2 else reversed(crowd))]
            return {one.id for one in await api.resolve_many(tx, VAULT, senders)}

    crowds = await asyncio.gather(*(resolve(n) for n in range(20)))
    assert all(len(ids) == 20 and ids == crowds[0] for ids in crowds)
    assert await owner.fetchval("SELECT count(*) FROM audience.contact WHERE tenant_id = $1", tenant) == 20


async def test_twenty_at_once_resolve_to_one_contact(app_resources: Resources, tenant: UUID, owner: Any):
    async def resolve(n: int) -> UUID:
        async with app_resources.database.transaction(tenant) as tx:
            one = await api.resolve(
                tx, vault=VAULT, platform="whatsapp", kind="phone", value="+4915123456789", name=f"P{n}"
            )
            return one.id

    ids = await asyncio.gather(*(resolve(n) for n in range(20)))
    assert len(set(ids)) == 1
    assert await owner.fetchval("SELECT count(*) FROM audience.contact WHERE tenant_id = $1", tenant) == 1


async def test_a_suppressed_address_makes_an_opted_out_contact(tx: Tx):
    await consents.suppress(tx, VAULT, [("email", "gone@x.org")], reason="erased", source="erasure")
    assert (await make(tx, ("email", "gone@x.org"))).opted_out_at is not None
    later = await make(tx, name="Later")
    changed = await change(tx, later, addresses=[("email", "a@x.org")])
    assert changed.opted_out_at is None
    await consents.suppress(tx, VAULT, [("email", "b@x.org")], reason="erased", source="erasure")
    assert (await change(tx, later, addresses=[("email", "b@x.org")])).opted_out_at is not None


async def test_bulk_tags_count_and_undo(tx: Tx):
    subject = system_subject(tx.tenant)
    people = [await make(tx, name=f"P{n}", tags=["old"] if n == 0 else []) for n in range(4)]
    chosen = api.select_ids(tx.tenant, ContactFilter(query="P"))
    done = await api.tag_contacts(tx, subject, tag="old", chosen=chosen)
    assert done.count == 3
    assert await api.list_tags(tx) == [("old", 4)]
    removed = await api.tag_contacts(tx, subject, tag="old", chosen=[people[1].id, uuid7()], remove=True)
    assert removed.count == 1
    await api.undo_bulk_action(tx, removed.id)
    assert await api.list_tags(tx) == [("old", 4)]
    await api.undo_bulk_action(tx, done.id)
    assert await found(tx, tag="old") == ["P0"]
    with pytest.raises(AlreadyUndone):
        await api.undo_bulk_action(tx, done.id)
    listed = await api.list_bulk_actions(tx, PageRequest(limit=1))
    assert [action.id for action in listed.items] == [removed.id]
    assert listed.next_cursor


async def test_tenants_are_apart(app_resources: Resources, tenant: UUID, other_tenant: UUID):
    async with app_resources.database.transaction(tenant) as tx:
        mine = await make(tx, ("phone", "+4915123456789"), name="Mine")
    async with app_resources.database.transaction(other_tenant) as tx:
        assert await found(tx, query="Mine") == []
        with pytest.raises(ContactNotFound):
            await api.get(tx, mine.id)
        with pytest.raises(ContactNotFound):
            await change(tx, mine, name="Stolen")
        action = await api.tag_contacts(tx, system_subject(other_tenant), tag="x", chosen=[mine.id])
        assert action.count == 0
        theirs = await make(tx, ("phone", "+4915123456789"))
        assert theirs.id != mine.id
