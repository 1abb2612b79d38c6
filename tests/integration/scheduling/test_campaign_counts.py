"""Guards, and what campaigns learn from events."""

from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

import asyncpg
import pytest

from carillon.events.catalog.base import Event
from carillon.events.catalog.consents import ContactOptedOut
from carillon.events.catalog.platforms import (
    AccountStateChanged,
    CampaignMessagesSent,
    InboundReceived,
    MessageChanged,
)
from carillon.events.consumer import Recorded
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import MessageState
from carillon.scheduling.campaigns import api
from carillon.scheduling.campaigns.contracts import Campaign, CampaignState, Guards
from carillon.storage.resources import Resources
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_account, add_people

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def recorded(tenant: UUID, *events: Event) -> list[Recorded]:
    return [Recorded(uuid7(), tenant, event, 1, number, datetime.now(UTC)) for number, event in enumerate(events)]


async def sent(resources: Resources, owner: Owner, tenant: UUID, guards: Guards) -> tuple[UUID, list[UUID], list[UUID]]:
    """A running campaign that has written to ten people from two accounts; more is to come."""
    async with resources.database.transaction(tenant) as tx:
        accounts = [await add_account(tx), await add_account(tx)]
        people = await add_people(tx, 10)
    campaign_id = await campaigns.planned(resources, tenant, guards=guards)
    await owner.execute(
        "UPDATE platforms.message SET state = 'sent', sending_at = now(), sent_at = now() WHERE lane = $1", campaign_id
    )
    async with resources.database.transaction(tenant) as tx:
        await add_people(tx, 1)
        taken = CampaignMessagesSent(
            campaign_id=campaign_id,
            messages={one: tuple(uuid7() for _ in range(5)) for one in accounts},
        )
        await api.count_outcomes(tx, recorded(tenant, taken))
        await tx.execute(
            "INSERT INTO platforms.message (tenant_id, id, account_id, contact_id, lane, platform, peer, kind,"
            " priority, state, due_at) SELECT tenant_id, gen_random_uuid(), account_id, gen_random_uuid(), lane,"
            " platform, peer, kind, priority, 'queued', now() + interval '1 day' FROM platforms.message"
            " WHERE lane = :lane LIMIT 1",
            {"lane": campaign_id},
        )
    return campaign_id, people, accounts


def outcome(campaign_id: UUID, state: MessageState, *, before: str | None = None) -> MessageChanged:
    return MessageChanged(
        message_id=uuid7(),
        account_id=uuid7(),
        contact_id=uuid7(),
        kind="campaign",
        state=state,
        campaign_id=campaign_id,
        before=before,
    )


async def looked_at(resources: Resources, tenant: UUID, campaign_id: UUID) -> Campaign:
    await api.tick(resources)
    return await campaigns.get(resources.database, tenant, campaign_id)


async def test_too_many_failures_pause_it_and_who_resumes_is_not_overruled(
    worker_resources: Resources, owner: Owner, tenant: UUID
) -> None:
    campaign_id, _, _ = await sent(worker_resources, owner, tenant, Guards(failure_rate=0.2, minimum=10))
    assert (await looked_at(worker_resources, tenant, campaign_id)).state is CampaignState.RUNNING
    async with worker_resources.database.transaction(tenant) as tx:
        failures = [outcome(campaign_id, MessageState.FAILED, before="sent") for _ in range(3)]
        await api.count_outcomes(tx, recorded(tenant, *failures))
    found = await looked_at(worker_resources, tenant, campaign_id)
    assert (found.attempted, found.failed) == (10, 3)
    assert (found.state, found.pause_reason) == (CampaignState.PAUSED, "failure_rate")
    assert await owner.fetchval("SELECT state FROM platforms.lane WHERE id = $1", campaign_id) == "paused"
    async with worker_resources.database.transaction(tenant) as tx:
        await api.resume(tx, system_subject(tenant), campaign_id)
    found = await looked_at(worker_resources, tenant, campaign_id)
    assert (found.state, found.pause_reason) == (CampaignState.RUNNING, None)
    assert await owner.fetchval("SELECT state FROM platforms.lane WHERE id = $1", campaign_id) == "running"


async def test_outcomes_are_counted_once_however_they_change(
    worker_resources: Resources, owner: Owner, tenant: UUID
) -> None:
    campaign_id, _, _ = await sent(worker_resources, owner, tenant, Guards())
    changes = [
        outcome(campaign_id, MessageState.DELIVERED, before="sent"),
        outcome(campaign_id, MessageState.READ, before="delivered"),
        outcome(campaign_id, MessageState.DELIVERED, before="sending"),  # its status came before its settlement
        outcome(campaign_id, MessageState.READ, before="unknown"),
        outcome(campaign_id, MessageState.FAILED),
        outcome(campaign_id, MessageState.FAILED, before="sent"),
        outcome(campaign_id, MessageState.READ, before="failed"),
        *[outcome(campaign_id, state) for state in (MessageState.UNKNOWN, MessageState.HELD, MessageState.SUPPRESSED)],
    ]
    async with worker_resources.database.transaction(tenant) as tx:
        await api.count_outcomes(tx, recorded(tenant, *changes))
    found = await campaigns.get(worker_resources.database, tenant, campaign_id)
    assert (found.attempted, found.failed) == (13, 1)


async def test_looking_at_a_campaign_counts_no_messages(
    worker_resources: Resources, owner: Owner, tenant: UUID
) -> None:
    await sent(worker_resources, owner, tenant, Guards())
    with campaigns.counted(worker_resources.database) as statements:
        await api.tick(worker_resources)
    ledger = [one for one in statements if "platforms.message" in one]
    assert ledger
    assert not [one for one in ledger if "count(" in one or "GROUP BY" in one]


async def test_it_goes_on_while_messages_wait_for_their_account(
    worker_resources: Resources, owner: Owner, tenant: UUID
) -> None:
    campaign_id, _, accounts = await sent(worker_resources, owner, tenant, Guards())
    async with worker_resources.database.transaction(tenant) as tx:
        await delivery.follow_account(tx, accounts[0], AccountState.PARKED, "")
        await delivery.follow_account(tx, accounts[1], AccountState.PARKED, "")
    found = await looked_at(worker_resources, tenant, campaign_id)
    assert found.state is CampaignState.RUNNING
    assert (await campaigns.funnel(worker_resources.database, tenant, campaign_id)).states[MessageState.HELD] == 1
    async with worker_resources.database.transaction(tenant) as tx:
        cancelled = await api.cancel(tx, system_subject(tenant), campaign_id)
        assert not (await delivery.may_go(tx, campaign_id))
    assert cancelled.state is CampaignState.CANCELLED


async def test_replies_and_opt_outs_count_for_the_campaign(
    worker_resources: Resources, owner: Owner, tenant: UUID
) -> None:
    guards = Guards(opt_out_rate=0.1, minimum=10)
    campaign_id, people, accounts = await sent(worker_resources, owner, tenant, guards)
    (stranger,) = await _people(worker_resources, tenant)
    now = datetime.now(UTC)
    events = recorded(
        tenant,
        *[
            InboundReceived(inbound_id=uuid7(), account_id=accounts[0], contact_id=one)
            for one in [*people[:3], stranger]
        ],
        ContactOptedOut(contact_id=people[0], source="message", at=now),
        ContactOptedOut(contact_id=people[1], source="import", at=now),
    )
    async with worker_resources.database.transaction(tenant) as tx:
        await api.count_answers(tx, events)
    found = await looked_at(worker_resources, tenant, campaign_id)
    assert (found.replies, found.opt_outs, found.state) == (3, 1, CampaignState.RUNNING)
    async with worker_resources.database.transaction(tenant) as tx:
        await api.count_answers(tx, recorded(tenant, ContactOptedOut(contact_id=people[2], source="message", at=now)))
    found = await looked_at(worker_resources, tenant, campaign_id)
    assert (found.opt_outs, found.pause_reason) == (2, "opt_out_rate")


async def test_a_lost_account_counts_once(worker_resources: Resources, owner: Owner, tenant: UUID) -> None:
    campaign_id, _, accounts = await sent(worker_resources, owner, tenant, Guards(restricted_accounts=1))

    async def lose(account: UUID, state: str) -> Campaign:
        event = AccountStateChanged(account_id=account, state=state, before="online", reason="")
        async with worker_resources.database.transaction(tenant) as tx:
            await api.count_restrictions(tx, recorded(tenant, event))
        return await looked_at(worker_resources, tenant, campaign_id)

    assert (await lose(accounts[0], "restricted")).restricted == 1
    assert (await lose(accounts[0], "banned")).restricted == 1
    assert (await lose(uuid7(), "banned")).restricted == 1
    assert (await lose(accounts[1], "degraded")).state is CampaignState.RUNNING
    found = await lose(accounts[1], "banned")
    assert (found.restricted, found.pause_reason) == (2, "restricted_accounts")


async def test_one_tenants_fault_does_not_stop_the_others(
    worker_resources: Resources, owner: Owner, tenant: UUID, other_tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    from carillon.scheduling.campaigns import watching

    ids = {}
    for one in sorted((tenant, other_tenant)):
        async with worker_resources.database.transaction(one) as tx:
            await add_account(tx)
        ids[one] = await campaigns.planned(worker_resources, one)
    first, second = ids
    look = watching._look

    async def faulty(tx: object, campaign_id: UUID, now: datetime) -> None:
        if campaign_id == ids[first]:
            message = "broken"
            raise ValueError(message)
        await look(tx, campaign_id, now)  # type: ignore[arg-type] # as given

    monkeypatch.setattr(watching, "_look", faulty)
    with pytest.raises(ExceptionGroup) as caught:
        await api.tick(worker_resources)
    assert caught.group_contains(ValueError, match="broken")
    assert (await campaigns.get(worker_resources.database, second, ids[second])).state is CampaignState.FINISHED
    await owner.execute("DELETE FROM scheduling.campaign WHERE tenant_id = $1", other_tenant)


async def _people(resources: Resources, tenant: UUID) -> list[UUID]:
    async with resources.database.transaction(tenant) as tx:
        return await add_people(tx, 1)
