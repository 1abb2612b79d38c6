"""Stop and start: at once, everywhere, exactly once, and never overtaken by a message."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from carillon.audience.consents import opt_out as stopping
from carillon.audience.consents import service
from carillon.audience.consents.contracts import Action, Actor
from carillon.audience.consents.errors import ContactUnknown, ProofMissing
from carillon.audience.consents.standing import lock_verdicts
from carillon.audience.consents.suppression import suppressed_among
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.storage.database import Database, Tx
from tests.fixtures.database import VAULT

from .people import GRANTED, add_address, add_person


async def stop(tx: Tx, contact_id: UUID, **changes) -> bool:
    values = {"source": "message", "proof": "message:7", "at": datetime.now(UTC), "platform": "telegram"}
    return await stopping.opt_out(tx, VAULT, contact_id, **{**values, **changes})


async def start(tx: Tx, contact_id: UUID, **changes) -> bool:
    values = {"source": "message", "proof": "message:8", "at": datetime.now(UTC)}
    return await stopping.opt_in(tx, VAULT, contact_id, **{**values, **changes})


async def reason(tx: Tx, contact_id: UUID, platform: str = "telegram", purpose: str = "marketing") -> str | None:
    now = datetime.now(UTC)
    found = await lock_verdicts(tx, [contact_id], platform=platform, purpose=purpose, at=now)
    return found[contact_id].reason


async def events_of(tx: Tx, contact_id: UUID) -> list[str]:
    rows = await tx.all(
        "SELECT type FROM events.event WHERE subject_id = :id ORDER BY xid, position", {"id": contact_id}
    )
    return [row["type"] for row in rows]


async def test_an_opt_out_covers_every_platform_and_purpose(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, consents=GRANTED, peers={"telegram": "1", "whatsapp": "2"})
        assert await reason(tx, person) is None
        assert await stop(tx, person)
        for platform in ("telegram", "whatsapp"):
            for purpose in ("marketing", "service"):
                assert await reason(tx, person, platform, purpose) == "opted_out"


async def test_an_opt_out_is_new_once(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, consents=GRANTED)
        assert [await stop(tx, person) for _ in range(3)] == [True, False, False]
        lines = (await service.history(tx, person, PageRequest())).items
        assert [(line.entry.action, line.entry.platform) for line in lines] == [(Action.OPTED_OUT, "telegram")]
        assert await events_of(tx, person) == ["contact.opted_out"]


async def test_two_at_once_are_one(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, consents=GRANTED, phone="+491700000001")

    async def one() -> bool:
        async with app_database.transaction(tenant) as tx:
            return await stop(tx, person)

    assert sorted(await asyncio.gather(*(one() for _ in range(6)))) == [False] * 5 + [True]


async def test_all_addresses_are_suppressed_also_later_ones(app_database: Database, tenant: UUID):
    first, later = ("phone", "+491700000001"), ("email", "ada@example.org")
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, phone=first[1])
        await stop(tx, person)
        assert await suppressed_among(tx, VAULT, [first, later]) == {first}
        await add_address(tx, person, *later)
        await stop(tx, person)
        assert await suppressed_among(tx, VAULT, [first, later]) == {first, later}


async def test_the_opt_out_of_a_merged_person_is_the_winners(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        winner = await add_person(tx, consents=GRANTED)
        loser = await add_person(tx, merged_into=winner)
        assert await stop(tx, loser)
        assert await reason(tx, winner) == "opted_out"


async def test_a_clock_ahead_of_ours_counts_as_now(app_database: Database, tenant: UUID):
    ahead = datetime(2040, 1, 1, tzinfo=UTC)
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
        await stop(tx, person, at=ahead)
        assert await tx.scalar(
            "SELECT opted_out_at <= now() + interval '1 minute' FROM audience.contact WHERE id = :id", {"id": person}
        )


async def test_start_lifts_it_and_leaves_both_in_the_ledger(app_database: Database, tenant: UUID):
    phone = ("phone", "+491700000001")
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, consents=GRANTED, phone=phone[1])
        assert not await start(tx, person)
        await stop(tx, person)
        assert await start(tx, person)
        assert await reason(tx, person) is None
        assert await suppressed_among(tx, VAULT, [phone]) == set()
        lines = (await service.history(tx, person, PageRequest())).items
        assert [line.entry.action for line in lines] == [Action.OPTED_IN, Action.OPTED_OUT]
        assert await events_of(tx, person) == ["contact.opted_out", "contact.opted_in"]
        assert await stop(tx, person)


async def test_a_start_from_before_the_stop_lifts_nothing(app_database: Database, tenant: UUID):
    now = datetime.now(UTC)
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, consents=GRANTED)
        await stop(tx, person, at=now)
        assert not await start(tx, person, at=now - timedelta(seconds=5))
        assert await reason(tx, person) == "opted_out"
        # An operator has proof of what the person wants now.
        assert await start(tx, person, at=now - timedelta(seconds=5), source="operator")


async def test_lifting_needs_proof(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
        await stop(tx, person)
        with pytest.raises(ProofMissing):
            await start(tx, person, source="operator", proof=" ", actor=Actor("user", uuid7()))


async def test_reprojecting_keeps_the_last_word(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, consents=GRANTED)
        await stop(tx, person)
        await service.reproject(tx, person)
        assert await reason(tx, person) == "opted_out"


async def test_nobody_cannot_opt_out(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        with pytest.raises(ContactUnknown):
            await stop(tx, uuid7())


async def test_erasure_leaves_only_a_keyed_hash(app_database: Database, tenant: UUID):
    phone = ("phone", "+491700000001")
    async with app_database.transaction(tenant) as tx:
        person, other = await add_person(tx, consents=GRANTED, phone=phone[1]), await add_person(tx)
        for one in (person, other):
            await stop(tx, one)
        await stopping.erase(tx, VAULT, person, source="operator")
        assert await suppressed_among(tx, VAULT, [phone]) == {phone}
        assert await service.export(tx, person) == []
        assert len(await service.export(tx, other)) == 1
        stored = await tx.scalar("SELECT string_agg(s::text, ' ') FROM audience.suppression s")
        assert phone[1].removeprefix("+") not in stored


async def test_nothing_is_authorised_after_an_opt_out_has_committed(
    app_database: Database, worker_database: Database, tenant: UUID
):
    async with app_database.transaction(tenant) as tx:
        people = [await add_person(tx, consents=GRANTED) for _ in range(30)]
    opted_out: set[UUID] = set()
    late: list[UUID] = []

    async def leave(person: UUID) -> None:
        async with app_database.transaction(tenant) as tx:
            await stop(tx, person)
        opted_out.add(person)

    async def send(seed: int) -> None:
        batch = random.Random(seed).sample(people, 10)
        # Whoever is in here had opted out, and that was committed, before this batch began.
        gone = set(opted_out)
        async with worker_database.transaction(tenant) as tx:
            now = datetime.now(UTC)
            standings = await lock_verdicts(tx, batch, platform="telegram", purpose="marketing", at=now)
            going = [person for person, standing in standings.items() if standing.reason is None]
            # While we hold the lock nobody can opt out: what we judged is still so when the intent is written.
            now_out = await tx.all(
                "SELECT id FROM audience.contact WHERE id = ANY(:ids) AND opted_out_at IS NOT NULL", {"ids": going}
            )
            late.extend(row["id"] for row in now_out)
            late.extend(gone.intersection(going))

    order = random.Random(1).sample(people, len(people))
    tasks = [leave(person) for person in order] + [send(seed) for seed in range(120)]
    random.Random(2).shuffle(tasks)
    await asyncio.gather(*tasks)
    assert late == []
    assert len(opted_out) == len(people)


async def test_an_opt_out_waits_for_a_batch_that_is_being_authorised(
    app_database: Database, worker_database: Database, owner, tenant: UUID
):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, consents=GRANTED)

    async def leave() -> None:
        async with app_database.transaction(tenant) as tx:
            await stop(tx, person)

    async with worker_database.transaction(tenant) as tx:
        assert await reason(tx, person) is None
        leaving = asyncio.create_task(leave())
        while not await owner.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE%')"
        ):
            assert not leaving.done()
            await asyncio.sleep(0)
    await leaving
    async with worker_database.transaction(tenant) as tx:
        assert await reason(tx, person) == "opted_out"
