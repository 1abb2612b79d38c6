"""Campaigns from draft to finish against a real database and an in-process platform."""

from collections import Counter
from uuid import UUID

import pytest

from carillon.audience.segments.errors import RuleInvalid
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import system_subject
from carillon.platforms.connectors.catalog import ConnectorInfo
from carillon.platforms.connectors.port import Platform
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import MessageState, Plan, PlanStep
from carillon.platforms.delivery.errors import NotSendable
from carillon.scheduling.campaigns import api, audience
from carillon.scheduling.campaigns.contracts import CampaignState, CampaignVariant, Recipient
from carillon.scheduling.campaigns.errors import CampaignChanged, CampaignInvalid, CampaignNotFound, NoAccounts
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from tests.fakes.ledger_connector import LedgerConnector
from tests.fixtures import campaigns
from tests.fixtures.campaigns import counted
from tests.fixtures.delivery import add_account, add_people, running_worker, states, until_settled


async def test_from_draft_to_finish(worker_resources: Resources, tenant: UUID) -> None:
    database, connector = worker_resources.database, LedgerConnector()
    async with database.transaction(tenant) as tx:
        for _ in range(3):
            await add_account(tx)
        await add_people(tx, 60, language="de-AT")
        await add_people(tx, 40)
        await add_people(tx, 5, consents={})
    variants = (
        CampaignVariant("A", 3, {"": "Hi {{ name }}", "DE": "Hallo {{ name }}"}),
        CampaignVariant("B", 1, {"": "Hey"}),
    )
    campaign_id = await campaigns.planned(worker_resources, tenant, variants=variants)
    found = await campaigns.get(database, tenant, campaign_id)
    assert (found.state, found.planned, found.excluded) == (CampaignState.RUNNING, 100, {"no_consent": 5})
    async with running_worker(worker_resources, {"ledger": connector}):
        assert await until_settled(database, tenant) == {"sent": 100, "suppressed": 5}
    await api.tick(worker_resources)
    found = await campaigns.get(database, tenant, campaign_id)
    assert found.state is CampaignState.FINISHED
    assert found.finished_at is not None
    funnel = await campaigns.funnel(database, tenant, campaign_id)
    assert (funnel.reached["sent"], funnel.remaining, funnel.reasons) == (100, 0, {"no_consent": 5})
    assert {text.split()[0] for text in connector.texts()} == {"Hi", "Hallo", "Hey"}


async def test_planning_killed_at_any_slice_goes_on_without_duplicates(
    worker_resources: Resources, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, plan_slice, calls = worker_resources.database, delivery.plan_slice, 0
    async with database.transaction(tenant) as tx:
        await add_account(tx)
        await add_people(tx, 95)
        await add_people(tx, 10, consents={})
    campaign_id = await campaigns.create(database, tenant)
    await campaigns.start(database, tenant, campaign_id)

    async def killed_sometimes(tx: Tx, plan: Plan, after: UUID | None) -> PlanStep:
        nonlocal calls
        calls += 1
        step = await plan_slice(tx, plan, after, 10)
        if calls % 2:
            message = "killed before the commit"
            raise ConnectionError(message)
        return step

    monkeypatch.setattr(delivery, "plan_slice", killed_sometimes)
    for _ in range(20):
        try:
            await api.plan(worker_resources, tenant, campaign_id)
        except ConnectionError:
            continue
        break
    found = await campaigns.get(database, tenant, campaign_id)
    assert (found.planning_done, found.planned, found.excluded) == (True, 95, {"no_consent": 10})
    assert await states(database, tenant) == {"queued": 95, "suppressed": 10}
    assert calls == 22


async def test_the_review_is_what_planning_writes(worker_resources: Resources, tenant: UUID) -> None:
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        for rate in (1, 5, 20):
            await add_account(tx, settings={"rate_per_second": rate})
        await add_account(tx, parked=True)
        await add_account(tx, labels=["other"], connector="other")
        await add_people(tx, 200, first_name="Ann")
        await add_people(tx, 9)
        await add_people(tx, 4, first_name="Bo", consents={})
    variants = (
        CampaignVariant("A", 2, {"": "Hi {{ first_name }}"}),
        CampaignVariant("B", 1, {"": "Hi {{ first_name }}"}),
    )
    campaign_id = await campaigns.create(database, tenant, variants=variants)
    async with database.transaction(tenant) as tx:
        review = await api.review(tx, campaign_id)
    await campaigns.start(database, tenant, campaign_id)
    await api.plan(worker_resources, tenant, campaign_id)
    async with database.transaction(tenant) as tx:
        rows = await tx.all(
            "SELECT state, reason, account_id, variant, count(*) AS n FROM platforms.message GROUP BY 1, 2, 3, 4"
        )
    by_account, by_variant = Counter[UUID](), Counter[str]()
    for row in rows:
        if row["state"] == "queued":
            by_account[row["account_id"]] += row["n"]
            by_variant[row["variant"]] += row["n"]
    assert dict(review.by_account) == by_account
    assert dict(review.by_variant) == by_variant
    assert (review.audience, review.sendable) == (213, 200)
    assert dict(review.excluded) == {"missing_variable": 9, "no_consent": 4}
    found = await campaigns.get(database, tenant, campaign_id)
    assert dict(found.excluded) == dict(review.excluded)
    assert review.seconds is not None
    assert review.warnings == ()


async def test_nobody_and_no_account_are_told(worker_resources: Resources, tenant: UUID) -> None:
    database = worker_resources.database
    campaign_id = await campaigns.create(database, tenant)
    async with database.transaction(tenant) as tx:
        assert set((await api.review(tx, campaign_id)).warnings) == {"nobody", "no_accounts"}
    with pytest.raises(NoAccounts):
        await campaigns.start(database, tenant, campaign_id)
    assert (await campaigns.get(database, tenant, campaign_id)).state is CampaignState.DRAFT


async def test_planning_without_accounts_pauses_and_goes_on_when_there_are_some(
    worker_resources: Resources, tenant: UUID
) -> None:
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        account = await add_account(tx)
        await add_people(tx, 3)
    campaign_id = await campaigns.create(database, tenant)
    await campaigns.start(database, tenant, campaign_id)
    async with database.transaction(tenant) as tx:
        await tx.execute("UPDATE platforms.account SET state = 'banned'")
    await api.plan(worker_resources, tenant, campaign_id)
    found = await campaigns.get(database, tenant, campaign_id)
    assert (found.state, found.pause_reason) == (CampaignState.PAUSED, "campaign_no_accounts")
    async with database.transaction(tenant) as tx:
        await tx.execute("UPDATE platforms.account SET state = 'online' WHERE id = :id", {"id": account})
        await api.resume(tx, system_subject(tenant), campaign_id)
    await api.plan(worker_resources, tenant, campaign_id)
    assert await states(database, tenant) == {"queued": 3}


async def test_clone_and_change(worker_resources: Resources, tenant: UUID, other_tenant: UUID) -> None:
    database, subject = worker_resources.database, system_subject(tenant)
    campaign_id = await campaigns.create(database, tenant, name="n" * 200)
    async with database.transaction(tenant) as tx:
        copy = await api.clone(tx, subject, campaign_id)
        assert (copy.parent_id, copy.state, len(copy.draft.name)) == (campaign_id, CampaignState.DRAFT, 200)
        changed = await api.update(tx, copy.id, campaigns.draft(name="New"), version=copy.version)
        assert (changed.draft.name, changed.version) == ("New", copy.version + 1)
        with pytest.raises(CampaignChanged):
            await api.update(tx, copy.id, campaigns.draft(), version=copy.version)
        with pytest.raises(CampaignInvalid) as caught:
            await api.create(tx, subject, campaigns.draft(account_ids=(uuid7(),)))
        assert caught.value.place == "account_ids"
        with pytest.raises(CampaignInvalid) as caught:
            await api.create(tx, subject, campaigns.draft(rule=None, segment_id=uuid7()))
        assert caught.value.place == "segment_id"
        with pytest.raises(RuleInvalid):
            await api.create(tx, subject, campaigns.draft(rule={"attribute": "nonsense"}))
        await api.delete(tx, subject, copy.id)
    async with database.transaction(other_tenant) as tx:
        for act in (
            api.get(tx, campaign_id),
            api.clone(tx, subject, campaign_id),
            api.start(tx, subject, campaign_id),
            api.funnel(tx, campaign_id),
            api.recipients(tx, campaign_id, PageRequest()),
        ):
            with pytest.raises(CampaignNotFound):
                await act


async def test_a_test_message_speaks_the_persons_language(worker_resources: Resources, tenant: UUID) -> None:
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        account = await add_account(tx)
        (person,) = await add_people(tx, 1, language="de-AT", first_name="Eva")
        (refused,) = await add_people(tx, 1, consents={})
    variants = (CampaignVariant("A", 1, {"": "Hi", "de": "Hallo {{ first_name }}"}),)
    campaign_id = await campaigns.create(database, tenant, variants=variants)

    async def send(contact_id: UUID, variant: str = "A", language: str | None = None) -> str | None:
        async with database.transaction(tenant) as tx:
            message = await api.send_test(
                tx, system_subject(tenant), campaign_id,
                contact_id=contact_id, variant=variant, language=language, account_id=account,
            )  # fmt: skip
        return message.body

    assert await send(person) == "Hallo Eva"
    assert await send(person, language="fr") == "Hi"
    with pytest.raises(NotSendable):
        await send(refused)
    with pytest.raises(CampaignInvalid):
        await send(person, variant="B")


async def test_recipients_page_by_state_in_a_fixed_number_of_queries(worker_resources: Resources, tenant: UUID) -> None:
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        await add_account(tx)
        people = await add_people(tx, 25)
        await add_people(tx, 3, consents={})
    campaign_id = await campaigns.planned(worker_resources, tenant)

    async def read(limit: int) -> tuple[list[Recipient], int]:
        items, cursor, statements = list[Recipient](), None, 0
        while True:
            async with database.transaction(tenant) as tx:
                with counted(database) as count:
                    page = await api.recipients(tx, campaign_id, PageRequest(limit, cursor), state=MessageState.QUEUED)
            items, cursor, statements = items + page.items, page.next_cursor, max(statements, len(count))
            if cursor is None:
                return items, statements

    items, statements = await read(10)
    assert sorted(item.contact_id for item in items) == sorted(people)
    assert statements == (await read(2))[1] == 3
    async with database.transaction(tenant) as tx:
        left_out = await api.recipients(tx, campaign_id, PageRequest(), state=MessageState.SUPPRESSED)
    assert {(item.reason, item.account_id) for item in left_out.items} == {("no_consent", None)}


async def test_an_account_that_may_run_no_campaigns_is_not_in_the_pool(
    worker_resources: Resources, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies_only = ConnectorInfo("replies", "Replies only", (Platform.TELEGRAM,), campaigns=False)
    monkeypatch.setattr(audience, "CONNECTORS", {"replies": replies_only})
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        await add_account(tx, connector="replies")
        usable = await add_account(tx)
    campaign_id = await campaigns.create(database, tenant)
    async with database.transaction(tenant) as tx:
        draft = (await api.get(tx, campaign_id)).draft
        assert [account.id for account in await audience.pool(tx, draft)] == [usable]
