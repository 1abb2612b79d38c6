"""Timers: due once across workers, through daylight saving, missed times, failing actions."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from carillon.audience.segments import api as segments
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import system_subject
from carillon.scheduling.campaigns import api as campaigns_api
from carillon.scheduling.campaigns.contracts import Campaign, CampaignState
from carillon.scheduling.timers import api
from carillon.scheduling.timers.contracts import Missed, Outcome, Timer, TimerPlan, TimerRun, Trigger
from carillon.scheduling.timers.errors import TimerChanged, TimerInvalid, TimerNotFound
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_account, add_people

NOTICE = {"kind": "send_notice", "platforms": ["telegram"], "texts": {"": "Open tomorrow"}}


async def make(database: Database, tenant: UUID, **changes: Any) -> Timer:
    """A timer that sends a new campaign every day at nine in Berlin."""
    async with database.transaction(tenant) as tx:
        await add_account(tx)
        await add_people(tx, 1)
    action = {"kind": "start_campaign", "campaign_id": str(await campaigns.create(database, tenant))}
    plan = TimerPlan(name="Morning", cron="0 9 * * *", zone="Europe/Berlin", action=action)
    async with database.transaction(tenant) as tx:
        return await api.create(tx, system_subject(tenant), replace(plan, **changes))


async def get(database: Database, tenant: UUID, timer: Timer) -> Timer:
    async with database.transaction(tenant) as tx:
        return await api.get(tx, timer.id)


async def history(database: Database, tenant: UUID, timer: Timer) -> list[TimerRun]:
    async with database.transaction(tenant) as tx:
        return (await api.history(tx, timer.id, PageRequest(200))).items


async def copies(database: Database, tenant: UUID) -> list[Campaign]:
    async with database.transaction(tenant) as tx:
        found = await campaigns_api.list_campaigns(tx, PageRequest(200))
    return [one for one in found.items if one.state is not CampaignState.DRAFT]


async def test_each_time_runs_once_across_workers_and_keeps_the_wall_clock(
    worker_resources: Resources, tenant: UUID
) -> None:
    database, zone = worker_resources.database, ZoneInfo("Europe/Berlin")
    timer = await make(database, tenant)
    assert timer.next_at is not None
    assert timer.next_at.astimezone(zone).hour == 9
    now = datetime(2030, 3, 30, 9, 0, 3, tzinfo=zone).astimezone(UTC)
    for count, hours in ((1, 24), (2, 23)):
        await asyncio.gather(*[api.tick(campaigns.at(worker_resources, now)) for _ in range(3)])
        assert len(await copies(database, tenant)) == count
        found = await get(database, tenant, timer)
        assert (found.last_at, found.last_outcome, found.version) == (now, Outcome.DONE, timer.version)
        assert found.next_at is not None
        assert found.next_at.astimezone(zone).hour == 9
        # The night of the change is an hour shorter.
        assert found.next_at - now == timedelta(hours=23 if count == 1 else 24, seconds=-3)
        now = now + timedelta(hours=24 if hours == 23 else 23)
    runs = await history(database, tenant, timer)
    assert [run.trigger for run in runs] == [Trigger.CLOCK, Trigger.CLOCK]
    assert {run.result["campaign_id"] for run in runs} == {str(one.id) for one in await copies(database, tenant)}


@pytest.mark.parametrize(
    ("missed", "outcome", "sent"), [(Missed.ONCE, Outcome.DONE, 1), (Missed.SKIP, Outcome.SKIPPED, 0)]
)
async def test_times_missed_while_nothing_ran(
    worker_resources: Resources, tenant: UUID, missed: Missed, outcome: Outcome, sent: int
) -> None:
    database = worker_resources.database
    timer = await make(database, tenant, cron="*/10 * * * *", missed=missed)
    assert timer.next_at is not None
    later = timer.next_at + timedelta(hours=5, minutes=3)
    await api.tick(campaigns.at(worker_resources, later))
    await api.tick(campaigns.at(worker_resources, later))
    (run,) = await history(database, tenant, timer)
    assert (run.outcome, run.due_at) == (outcome, timer.next_at)
    assert len(await copies(database, tenant)) == sent
    found = await get(database, tenant, timer)
    assert found.next_at is not None
    assert timedelta() < found.next_at - later <= timedelta(minutes=10)


async def test_what_fails_is_undone_and_told_and_the_timer_goes_on(worker_resources: Resources, tenant: UUID) -> None:
    database = worker_resources.database
    timer = await make(database, tenant, cron="* * * * *")
    async with database.transaction(tenant) as tx:
        await tx.execute("UPDATE platforms.account SET state = 'banned'")
    assert timer.next_at is not None
    await api.tick(campaigns.at(worker_resources, timer.next_at))
    (run,) = await history(database, tenant, timer)
    assert (run.outcome, run.code) == (Outcome.FAILED, "campaign_no_accounts")
    assert run.message
    async with database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM scheduling.campaign") == 1
        await tx.execute("UPDATE platforms.account SET state = 'online'")
    await api.tick(campaigns.at(worker_resources, timer.next_at + timedelta(minutes=1)))
    assert [run.outcome for run in await history(database, tenant, timer)] == [Outcome.DONE, Outcome.FAILED]


async def test_a_notice_to_a_segment_by_hand(worker_resources: Resources, tenant: UUID) -> None:
    database, subject = worker_resources.database, system_subject(tenant)
    async with database.transaction(tenant) as tx:
        segment = await segments.create(tx, name="All", rule=campaigns.EVERYBODY)
    timer = await make(database, tenant, action={**NOTICE, "segment_id": str(segment.id)}, enabled=False)
    assert timer.next_at is None
    async with database.transaction(tenant) as tx:
        run = await api.run_now(tx, subject, timer.id, now=datetime.now(UTC))
    assert (run.outcome, run.trigger) == (Outcome.DONE, Trigger.MANUAL)
    (made,) = await copies(database, tenant)
    assert (made.draft.name, made.draft.variants[0].texts) == ("Morning", {"": "Open tomorrow"})
    await campaigns_api.plan(worker_resources, tenant, made.id)
    assert (await campaigns.get(database, tenant, made.id)).planned == 1
    found = await get(database, tenant, timer)
    assert (found.next_at, found.last_outcome) == (None, Outcome.DONE)


async def test_switched_off_and_deleted(worker_resources: Resources, tenant: UUID) -> None:
    database, subject = worker_resources.database, system_subject(tenant)
    timer = await make(database, tenant)
    async with database.transaction(tenant) as tx:
        plan = replace(timer.plan, enabled=False)
        changed = await api.update(tx, subject, timer.id, plan, version=timer.version)
        with pytest.raises(TimerChanged):
            await api.update(tx, subject, timer.id, plan, version=timer.version)
        assert changed.next_at is None
    await api.tick(campaigns.at(worker_resources, datetime(2031, 1, 1, tzinfo=UTC)))
    assert await history(database, tenant, timer) == []
    async with database.transaction(tenant) as tx:
        await api.run_now(tx, subject, timer.id, now=datetime.now(UTC))
        await api.delete(tx, subject, timer.id)
        assert await tx.scalar("SELECT count(*) FROM scheduling.timer_run") == 0
        with pytest.raises(TimerNotFound):
            await api.history(tx, timer.id, PageRequest())


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": " "}, "name"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"action": {"kind": "format_disk"}}, "action.kind"),
        ({"action": {"kind": "start_campaign"}}, "action.campaign_id"),
        ({"action": {"kind": "start_campaign", "campaign_id": str(uuid7())}}, "action"),
        ({"action": {**NOTICE, "segment_id": str(uuid7())}}, "action.segment_id"),
        ({"action": {**NOTICE, "segment_id": str(uuid7()), "texts": {"de": "Hi"}}}, "action.variants.0.texts"),
    ],
)  # fmt: skip
async def test_refused_with_a_place(
    worker_resources: Resources, tenant: UUID, changes: dict[str, Any], place: str
) -> None:
    with pytest.raises(TimerInvalid) as caught:
        await make(worker_resources.database, tenant, **changes)
    assert caught.value.place == place


async def test_of_another_tenant(worker_resources: Resources, tenant: UUID, other_tenant: UUID) -> None:
    timer = await make(worker_resources.database, tenant)
    subject = system_subject(other_tenant)
    async with worker_resources.database.transaction(other_tenant) as tx:
        for act in (
            api.get(tx, timer.id),
            api.delete(tx, subject, timer.id),
            api.update(tx, subject, timer.id, timer.plan, version=1),
            api.run_now(tx, subject, timer.id, now=datetime.now(UTC)),
        ):
            with pytest.raises(TimerNotFound):
                await act
        with pytest.raises(TimerInvalid):
            await api.create(tx, subject, timer.plan)
