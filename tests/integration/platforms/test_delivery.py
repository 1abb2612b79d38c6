"""The ledger from plan to settlement against a real database and an in-process platform."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from carillon.audience.consents import api as consents
from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.errors import FailureClass, Rejected, Uncertain
from carillon.platforms.connectors.port import Outbound
from carillon.platforms.delivery import api, dispatcher, leases, ledger, repository
from carillon.platforms.delivery.contracts import Draft, Lease, MessageState, Plan, Variant
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fakes.ledger_connector import LedgerConnector
from tests.fixtures.database import VAULT
from tests.fixtures.delivery import add_account, add_people, make_plan, quiet_off, running_worker, until_settled


@pytest.fixture
async def tenant(tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]") -> UUID:
    await quiet_off(owner, tenant)
    return tenant


async def start(database: Database, tenant: UUID, plan: Plan, *, size: int = 50_000) -> list[int]:
    """Plan everything and open the gate; returns how many each slice planned."""
    planned, after, done = [], None, False
    async with database.transaction(tenant) as tx:
        await api.write_contents(tx, plan)
    while not done:
        async with database.transaction(tenant) as tx:
            step = await api.plan_slice(tx, plan, after, size)
        planned.append(step.planned)
        after, done = step.after, step.done
    async with database.transaction(tenant) as tx:
        await api.open_lane(tx, plan.campaign_id)
    return planned


async def test_a_campaign_reaches_everyone_who_agreed_once(worker_resources: Resources, tenant: UUID) -> None:
    database, connector = worker_resources.database, LedgerConnector()
    async with database.transaction(tenant) as tx:
        accounts = [await add_account(tx) for _ in range(3)]
        people = await add_people(tx, 250)
        await add_people(tx, 5, consents={})
        await add_people(tx, 5, opted_out_at=datetime.now(UTC))
        await add_people(tx, 5, peers={})
    variants = [Variant("A", 3, {"": "Hi {{ name }}", "de": "Hallo {{ name }}"}), Variant("B", 1, {"": "Hey"})]
    plan = make_plan(tenant, accounts, variants=variants)
    planned = await start(database, tenant, plan, size=100)
    assert sum(planned) == 250
    assert len(planned) > 2
    async with running_worker(worker_resources, {"ledger": connector}):
        found = await until_settled(database, tenant)
    assert found == {"sent": 250, "suppressed": 15}
    assert Counter(m.peer for m in connector.accepted) == Counter(f"peer-{person}" for person in people)
    assert {text.split()[0] for text in connector.texts()} == {"Hi", "Hey"}
    async with database.transaction(tenant) as tx:
        progress = await api.progress(tx, plan.campaign_id)
    assert progress.reasons == {"no_consent": 5, "opted_out": 5, "no_address": 5}
    assert set(progress.by_variant) == {"A", "B"}


async def test_room_for_more_is_used_as_soon_as_outcomes_are_written(
    worker_resources: Resources, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_UNSETTLED", 10)
    monkeypatch.setattr(dispatcher, "_IDLE", 1_000.0)
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        plan = make_plan(tenant, [await add_account(tx)])
        await add_people(tx, 200)
    await start(database, tenant, plan)
    async with running_worker(worker_resources, {"ledger": LedgerConnector()}):
        assert await until_settled(database, tenant) == {"sent": 200}


async def test_planning_twice_writes_nobody_twice(worker_resources: Resources, tenant: UUID) -> None:
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        plan = make_plan(tenant, [await add_account(tx)])
        await add_people(tx, 20)
    assert sum(await start(database, tenant, plan, size=7)) == 20
    assert sum(await start(database, tenant, plan, size=7)) == 0


async def test_the_review_tells_what_the_plan_will_do(worker_resources: Resources, tenant: UUID) -> None:
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        accounts = [await add_account(tx), await add_account(tx)]
        await add_people(tx, 30, first_name="Ann")
        await add_people(tx, 10)
        await add_people(tx, 7, consents={})
        plan = make_plan(tenant, accounts, variants=[Variant("A", 1, {"": "Hi {{ first_name }}"})])
        review = await api.review(tx, plan)
    assert review.audience == 47
    assert dict(review.excluded) == {"missing_variable": 10, "no_consent": 7}
    assert sum(review.by_account.values()) == 30
    assert dict(review.by_variant) == {"A": 30}
    assert sum(await start(database, tenant, plan)) == 30


async def test_a_paused_campaign_sends_nothing_more(worker_resources: Resources, tenant: UUID) -> None:
    database, connector = worker_resources.database, LedgerConnector()
    async with database.transaction(tenant) as tx:
        plan = make_plan(tenant, [await add_account(tx)])
        people = await add_people(tx, 30)
    await start(database, tenant, plan)
    async with database.transaction(tenant) as tx:
        await api.pause_lane(tx, plan.campaign_id)
    async with running_worker(worker_resources, {"ledger": connector}):
        async with database.transaction(tenant) as tx:
            account_id = plan.accounts[0].id
            draft = Draft(account_id=account_id, contact_id=people[0], body="a reply goes out all the same")
            await tx.execute("UPDATE audience.contact SET last_inbound_at = now() WHERE id = :id", {"id": people[0]})
            await api.accept(tx, draft)
        while not connector.accepted:
            async with database.transaction(tenant) as tx:
                await tx.scalar("SELECT pg_sleep(0.05)")
        assert connector.texts() == ["a reply goes out all the same"]
        async with database.transaction(tenant) as tx:
            await api.open_lane(tx, plan.campaign_id)
        found = await until_settled(database, tenant)
    assert found == {"sent": 31}


async def test_what_fails_and_what_is_unknown(worker_resources: Resources, tenant: UUID) -> None:
    """Without a key of its own the platform may have it twice, so an unknown outcome is not sent again."""

    def before(message: Outbound) -> None:
        if message.peer == bad:
            raise Rejected("No such number.", failure=FailureClass.RECIPIENT, platform_code="131026")

    def after(message: Outbound) -> None:
        if message.peer == lost:
            raise Uncertain

    database = worker_resources.database
    connector = LedgerConnector(deduplicates=False, before=before, after=after)
    async with database.transaction(tenant) as tx:
        plan = make_plan(tenant, [await add_account(tx)])
        bad, lost, _ = [f"peer-{person}" for person in await add_people(tx, 3)]
    await start(database, tenant, plan)
    async with running_worker(worker_resources, {"ledger": connector}):
        found = await until_settled(database, tenant)
    assert found == {"failed": 1, "unknown": 1, "sent": 1}
    assert Counter(message.peer for message in connector.accepted)[lost] == 1


async def test_a_lost_answer_is_asked_for_again_with_the_same_key(worker_resources: Resources, tenant: UUID) -> None:
    seen: set[int] = set()

    def after(message: Outbound) -> None:
        if message.key not in seen:
            seen.add(message.key)
            raise Uncertain

    database, connector = worker_resources.database, LedgerConnector(after=after)
    async with database.transaction(tenant) as tx:
        plan = make_plan(tenant, [await add_account(tx)])
        await add_people(tx, 10)
    await start(database, tenant, plan)
    async with running_worker(worker_resources, {"ledger": connector}):
        found = await until_settled(database, tenant)
    assert found == {"sent": 10}
    assert len(connector.accepted) == 10


@pytest.mark.parametrize("deduplicates", [True, False])
async def test_recovery_of_what_a_dead_worker_left_in_flight(
    worker_resources: Resources, tenant: UUID, deduplicates: bool
) -> None:
    database, connector = worker_resources.database, LedgerConnector(deduplicates=deduplicates)
    dead = uuid7()
    async with database.transaction(tenant) as tx:
        account_id = await add_account(tx)
        await add_people(tx, 10)
    plan = make_plan(tenant, [account_id])
    await start(database, tenant, plan)
    async with database.across_tenants() as tx:
        await leases.enlist(tx, dead, "dead")
        leased = [lease for lease in await leases.claim(tx, dead, 10_000) if lease.tenant_id == tenant]
        rows = await repository.due(tx, [(tenant, account_id, 4)])
    async with database.transaction(tenant) as tx:
        epochs = {account_id: leased[0].epoch}
        ready = await ledger.authorise(tx, dead, rows, epochs, datetime.now(UTC))
    assert len(ready) == 4
    async with database.across_tenants() as tx:
        await leases.retire(tx, dead)
    async with running_worker(worker_resources, {"ledger": connector}):
        found = await until_settled(database, tenant)
    assert found == ({"sent": 10} if deduplicates else {"sent": 6, "unknown": 4})
    assert len(connector.accepted) == (10 if deduplicates else 6)


async def test_a_zombie_neither_authorises_nor_settles(worker_resources: Resources, tenant: UUID) -> None:
    database, zombie, heir = worker_resources.database, uuid7(), uuid7()
    async with database.transaction(tenant) as tx:
        account_id = await add_account(tx)
        await add_people(tx, 3)
    await start(database, tenant, make_plan(tenant, [account_id]))
    async with database.across_tenants() as tx:
        await leases.enlist(tx, zombie, "zombie")
        (old,) = [lease for lease in await leases.claim(tx, zombie, 10_000) if lease.account_id == account_id]
        rows = await repository.due(tx, [(tenant, account_id, 1)])
    async with database.transaction(tenant) as tx:
        (flying,) = await ledger.authorise(tx, zombie, rows, {account_id: old.epoch}, datetime.now(UTC))
    async with database.across_tenants() as tx:
        await leases.retire(tx, zombie)
        await leases.enlist(tx, heir, "heir")
        (new,) = [lease for lease in await leases.claim(tx, heir, 10_000) if lease.account_id == account_id]
        rest = await repository.due(tx, [(tenant, account_id, 5)])
    assert new.epoch == old.epoch + 1
    async with database.transaction(tenant) as tx:
        assert await ledger.authorise(tx, zombie, rest, {account_id: old.epoch}, datetime.now(UTC)) == []
        assert len(await ledger.recover(tx, new, deduplicates=True)) == 1
        sent = repository.Outcome(flying.row.id, old.epoch, MessageState.FAILED)
        assert await repository.settle(tx, [sent]) == []
        assert (await api.get(tx, flying.row.id)).state is MessageState.SENDING
    async with database.across_tenants() as tx:
        await leases.retire(tx, heir)


async def test_nothing_is_authorised_after_an_opt_out(worker_resources: Resources, tenant: UUID) -> None:
    database, worker = worker_resources.database, uuid7()
    async with database.transaction(tenant) as tx:
        account_id = await add_account(tx)
        people = await add_people(tx, 2)
    await start(database, tenant, make_plan(tenant, [account_id]))
    async with database.across_tenants() as tx:
        await leases.enlist(tx, worker, "w")
        (lease,) = [lease for lease in await leases.claim(tx, worker, 10_000) if lease.account_id == account_id]
        rows = await repository.due(tx, [(tenant, account_id, 5)])
    async with database.transaction(tenant) as tx:
        await consents.opt_out(tx, VAULT, people[0], source="message", proof="STOP", at=datetime.now(UTC))
    async with database.transaction(tenant) as tx:
        ready = await ledger.authorise(tx, worker, rows, {account_id: lease.epoch}, datetime.now(UTC))
        assert [item.row.contact_id for item in ready] == [people[1]]
    async with database.across_tenants() as tx:
        await leases.retire(tx, worker)
        assert isinstance(lease, Lease)
