"""The ledger and the projection that follows it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from carillon.audience.consents import service
from carillon.audience.consents.contracts import THE_PERSON, ConsentEntry, TemplateData
from carillon.audience.consents.errors import ConsentInFuture, ConsentOver, ContactUnknown, ProofMissing
from carillon.audience.consents.projection import project
from carillon.audience.consents.standing import lock_verdicts
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.storage.database import Database, Tx

from .people import add_person


def granted(contact_id: UUID, **changes) -> ConsentEntry:
    values = {
        "contact_id": contact_id,
        "purpose": "marketing",
        "action": "granted",
        "source": "form",
        "at": datetime.now(UTC) - timedelta(days=1),
        "actor": THE_PERSON,
        "proof": "https://shop.example/form/7",
    }
    return ConsentEntry(**{**values, **changes})


async def reason(tx: Tx, contact_id: UUID, platform: str = "telegram") -> str | None:
    now = datetime.now(UTC)
    found = await lock_verdicts(tx, [contact_id], platform=platform, purpose="marketing", at=now)
    return found[contact_id].reason


async def test_nobody_may_be_written_to_until_a_consent_is_recorded(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
        assert await reason(tx, person) == "no_consent"
        await service.record(tx, granted(person))
        assert await reason(tx, person) is None
        await service.record(tx, granted(person, action="withdrawn", platform="telegram", at=datetime.now(UTC)))
        assert await reason(tx, person) == "consent_withdrawn"


async def test_a_single_grant_needs_evidence(app_database: Database, tenant: UUID):
    now = datetime.now(UTC)
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
        for changes, error in (
            ({"proof": None}, ProofMissing),
            ({"at": now + timedelta(hours=1)}, ConsentInFuture),
            ({"expires_at": now - timedelta(days=2)}, ConsentOver),
        ):
            with pytest.raises(error):
                await service.record(tx, granted(person, **changes))
        with pytest.raises(ContactUnknown):
            await service.record(tx, granted(uuid7()))
        assert (await service.history(tx, person, PageRequest())).items == []


async def test_an_import_without_evidence_is_recorded_but_allows_nothing(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        bare, early, good = [await add_person(tx) for _ in range(3)]
        entries = [
            granted(bare, proof=None, source="import"),
            granted(early, at=datetime.now(UTC) + timedelta(days=1), source="import"),
            granted(good, source="import"),
        ]
        await service.record_many(tx, entries)
        assert [await reason(tx, person) for person in (bare, early, good)] == ["no_consent", "no_consent", None]
        (line,) = (await service.history(tx, bare, PageRequest())).items
        assert (line.counts, line.entry) == (False, entries[0])


async def test_a_batch_keeps_what_people_said_before(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
        await service.record(tx, granted(person, action="withdrawn", proof=None, at=datetime.now(UTC)))
        await service.record_many(tx, [granted(person, source="import")])
        assert await reason(tx, person) == "consent_withdrawn"


async def test_new_people_come_with_their_projection(app_database: Database, tenant: UUID):
    person, now = uuid7(), datetime.now(UTC)
    entries = [granted(person, source="import", platform="telegram")]
    async with app_database.transaction(tenant) as tx:
        await add_person(tx, id=person, consents=project(entries, now))
        await service.record_many(tx, entries, recorded_at=now, projected=True)
        before = await tx.scalar("SELECT consents FROM audience.contact WHERE id = :id", {"id": person})
        await service.reproject(tx, person)
        assert await tx.scalar("SELECT consents FROM audience.contact WHERE id = :id", {"id": person}) == before
        assert await reason(tx, person) is None


async def test_the_history_comes_in_pages(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
        made = [await service.record(tx, granted(person)) for _ in range(5)]
        seen, cursor = [], None
        while True:
            page = await service.history(tx, person, PageRequest(limit=2, cursor=cursor))
            seen += [line.id for line in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == made[::-1]


async def test_a_merge_adds_what_the_other_said_and_an_unmerge_takes_it_back(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        winner, loser = await add_person(tx), await add_person(tx)
        await service.record(tx, granted(winner, platform="telegram"))
        await service.record(tx, granted(loser, action="withdrawn", at=datetime.now(UTC)))
        merge = {"tenant": tenant, "id": uuid7(), "winner": winner, "loser": loser}
        await tx.execute(
            "INSERT INTO audience.contact_merge (tenant_id, id, winner_id, loser_id) "
            "VALUES (:tenant, :id, :winner, :loser)",
            merge,
        )
        await service.reproject(tx, winner)
        assert await reason(tx, winner) == "consent_withdrawn"
        assert len((await service.history(tx, winner, PageRequest())).items) == 2
        await tx.execute("UPDATE audience.contact_merge SET undone_at = now() WHERE id = :id", {"id": merge["id"]})
        await service.reproject(tx, winner)
        assert await reason(tx, winner) is None


@pytest.mark.parametrize(
    "change", ["UPDATE audience.consent_entry SET proof = 'x'", "DELETE FROM audience.consent_entry"]
)
async def test_the_ledger_is_append_only(app_database: Database, tenant: UUID, change: str):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
        await service.record(tx, granted(person))
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
        async with app_database.transaction(tenant) as tx:
            await tx.execute(change)


async def test_the_standing_names_what_templates_and_pacing_need(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        known = await add_person(
            tx, name="Ada", first_name="A", fields={"plan": "pro"}, language="de", time_zone="Europe/Berlin"
        )
        unknown = await add_person(tx, time_zones=["Asia/Tokyo", "Asia/Seoul"])
        merged = await add_person(tx, merged_into=known)
        nobody = uuid7()
        now = datetime.now(UTC)
        found = await lock_verdicts(
            tx, [known, unknown, merged, nobody], platform="telegram", purpose="service", at=now, with_data=True
        )
        plain = await lock_verdicts(tx, [known], platform="whatsapp", purpose="service", at=now)
    assert (found[known].peer, found[known].language) == (f"tg-{known}", "de")
    assert found[known].time_zones == ("Europe/Berlin",)
    assert found[unknown].time_zones == ("Asia/Tokyo", "Asia/Seoul")
    assert found[known].data == TemplateData("Ada", "A", None, {"plan": "pro"})
    assert found[merged].reason == found[nobody].reason == "gone"
    assert (plain[known].reason, plain[known].data) == ("no_address", None)


async def test_another_tenants_people_are_not_seen(app_database: Database, tenant: UUID, other_tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
    async with app_database.transaction(other_tenant) as tx:
        assert await reason(tx, person) == "gone"
        with pytest.raises(ContactUnknown):
            await service.record(tx, granted(person))
