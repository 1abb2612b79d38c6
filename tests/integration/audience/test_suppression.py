"""Blocked addresses: they outlive people, block a whole tenant, and cannot be read back."""

from uuid import UUID

import asyncpg
import pytest

from carillon.audience.consents import opt_out as stopping
from carillon.audience.consents.errors import SuppressionUnknown
from carillon.audience.consents.suppression import lift, page_of, remove, suppress, suppressed_among
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import system_subject
from carillon.storage.database import Database
from tests.fixtures.database import VAULT

from .people import GRANTED, add_person

PHONE, MAIL = ("phone", "+491700000001"), ("email", "ada@example.org")


async def test_an_address_is_blocked_once(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        assert await suppressed_among(tx, VAULT, [PHONE]) == set()
        assert await suppress(tx, VAULT, [PHONE, MAIL, PHONE], reason="list", source="api") == 2
        assert await suppress(tx, VAULT, [PHONE], reason="list", source="api") == 0
        assert await suppress(tx, VAULT, [], reason="list", source="api") == 0
        other = ("email", PHONE[1])
        assert await suppressed_among(tx, VAULT, [PHONE, MAIL, other]) == {PHONE, MAIL}


async def test_an_address_can_be_unblocked(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        await suppress(tx, VAULT, [PHONE, MAIL], reason="list", source="api")
        await lift(tx, VAULT, [PHONE])
        assert await suppressed_among(tx, VAULT, [PHONE, MAIL]) == {MAIL}


async def test_a_large_batch_is_looked_up_at_once(app_database: Database, tenant: UUID):
    addresses = [("phone", f"+4917{number:08}") for number in range(5000)]
    async with app_database.transaction(tenant) as tx:
        await suppress(tx, VAULT, addresses[::10], reason="list", source="import")
        assert await suppressed_among(tx, VAULT, addresses) == set(addresses[::10])


async def test_blocking_an_address_opts_out_who_has_it(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person, other = await add_person(tx, phone=PHONE[1], consents=GRANTED), await add_person(tx, consents=GRANTED)
        done = await stopping.suppress_addresses(
            tx, VAULT, [PHONE, MAIL], reason="complaint", source="api", subject=system_subject(tenant)
        )
        assert (done.added, done.opted_out) == (2, 1)
        rows = await tx.all("SELECT id FROM audience.contact WHERE opted_out_at IS NOT NULL")
        assert [row["id"] for row in rows] == [person]
        assert other != person
        assert (
            await tx.scalar("SELECT action FROM identity.audit_entry ORDER BY seq DESC LIMIT 1") == "suppression.added"
        )


async def test_removing_an_entry_goes_on_record(app_database: Database, tenant: UUID):
    subject = system_subject(tenant)
    async with app_database.transaction(tenant) as tx:
        await suppress(tx, VAULT, [PHONE], reason="list", source="api")
        (entry,) = (await page_of(tx, PageRequest())).items
        await remove(tx, subject, entry.id, reason="typing error")
        assert await suppressed_among(tx, VAULT, [PHONE]) == set()
        details = await tx.scalar("SELECT details FROM identity.audit_entry ORDER BY seq DESC LIMIT 1")
        assert details["reason"] == "typing error"
        with pytest.raises(SuppressionUnknown):
            await remove(tx, subject, uuid7(), reason="typing error")


async def test_the_list_comes_in_pages_and_by_kind(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        await suppress(tx, VAULT, [PHONE, MAIL, ("email", "b@example.org")], reason="list", source="api")
        first = await page_of(tx, PageRequest(limit=2))
        rest = await page_of(tx, PageRequest(limit=2, cursor=first.next_cursor))
        assert (len(first.items), len(rest.items), rest.next_cursor) == (2, 1, None)
        assert len((await page_of(tx, PageRequest(), kind="email")).items) == 2


async def test_tenants_block_for_themselves_and_their_hashes_differ(
    app_database: Database, owner: asyncpg.Connection, tenant: UUID, other_tenant: UUID
):
    async with app_database.transaction(tenant) as tx:
        await suppress(tx, VAULT, [PHONE], reason="list", source="api")
    async with app_database.transaction(other_tenant) as tx:
        assert await suppressed_among(tx, VAULT, [PHONE]) == set()
        await suppress(tx, VAULT, [PHONE], reason="list", source="api")
    count = await owner.fetchval(
        "SELECT count(DISTINCT value_hmac) FROM audience.suppression WHERE tenant_id = ANY($1::uuid[])",
        [tenant, other_tenant],
    )
    assert count == 2
