"""Campaigns that wait for their time: at a moment, at a local time, again and again."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import system_subject
from carillon.scheduling.campaigns import api
from carillon.scheduling.campaigns.contracts import Campaign, CampaignSchedule, CampaignState, ScheduleKind
from carillon.scheduling.campaigns.errors import CampaignInvalid
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_account, add_people

ZONES = (
    "Pacific/Kiritimati", "Pacific/Auckland", "Australia/Lord_Howe", "Asia/Tokyo", "Asia/Shanghai", "Asia/Kathmandu",
    "Asia/Kolkata", "Europe/Moscow", "Europe/Berlin", "Europe/London", "UTC", "America/Sao_Paulo", "America/New_York",
    "America/Los_Angeles", "Pacific/Pago_Pago",
)  # fmt: skip


async def all_of(database: Database, tenant: UUID) -> list[Campaign]:
    async with database.transaction(tenant) as tx:
        return (await api.list_campaigns(tx, PageRequest(200))).items


async def test_at_a_moment(worker_resources: Resources, tenant: UUID) -> None:
    database, due = worker_resources.database, datetime.now(UTC) + timedelta(days=3)
    async with database.transaction(tenant) as tx:
        await add_account(tx)
        await add_people(tx, 2)
    campaign_id = await campaigns.create(database, tenant, schedule=CampaignSchedule(ScheduleKind.AT, at=due))
    started = await campaigns.start(database, tenant, campaign_id)
    assert (started.state, started.next_at) == (CampaignState.SCHEDULED, due)
    await api.tick(campaigns.at(worker_resources, due - timedelta(seconds=1)))
    assert (await campaigns.get(database, tenant, campaign_id)).state is CampaignState.SCHEDULED
    await asyncio.gather(*[api.tick(campaigns.at(worker_resources, due)) for _ in range(2)])
    found = await campaigns.get(database, tenant, campaign_id)
    assert (found.state, found.started_at) == (CampaignState.PLANNING, due)
    await api.plan(worker_resources, tenant, campaign_id)
    assert (await campaigns.get(database, tenant, campaign_id)).planned == 2


@pytest.mark.parametrize("day", ["01-15", "03-14", "03-28", "07-01", "10-31", "11-07"])
async def test_at_the_same_wall_clock_time_everywhere(worker_resources: Resources, tenant: UUID, day: str) -> None:
    database = worker_resources.database
    wall = datetime.fromisoformat(f"{datetime.now(UTC).year + 2}-{day}T09:30")
    async with database.transaction(tenant) as tx:
        await add_account(tx)
        people = {zone: (await add_people(tx, 1, time_zone=zone))[0] for zone in ZONES}
        (unknown,) = await add_people(tx, 1, time_zone=None)
    schedule = CampaignSchedule(ScheduleKind.LOCAL, at=wall, zone="Asia/Dubai")
    await campaigns.planned(worker_resources, tenant, schedule=schedule)
    async with database.transaction(tenant) as tx:
        rows = await tx.all("SELECT contact_id, due_at FROM platforms.message")
    due = {row["contact_id"]: row["due_at"] for row in rows}
    assert {
        zone: due[person].astimezone(ZoneInfo(zone)).replace(tzinfo=None) for zone, person in people.items()
    } == dict.fromkeys(ZONES, wall)
    assert due[unknown].astimezone(ZoneInfo("Asia/Dubai")).replace(tzinfo=None) == wall


async def test_a_local_time_that_is_past_is_refused(worker_resources: Resources, tenant: UUID) -> None:
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    schedule = CampaignSchedule(ScheduleKind.LOCAL, at=past)
    campaign_id = await campaigns.create(worker_resources.database, tenant, schedule=schedule)
    with pytest.raises(CampaignInvalid) as caught:
        await campaigns.start(worker_resources.database, tenant, campaign_id)
    assert caught.value.place == "schedule.at"


async def test_recurring_keeps_the_wall_clock_and_makes_one_copy_a_tick(
    worker_resources: Resources, tenant: UUID
) -> None:
    database, zone = worker_resources.database, ZoneInfo("Europe/Berlin")
    schedule = CampaignSchedule(ScheduleKind.RECURRING, cron="0 9 * * *", zone="Europe/Berlin")
    campaign_id = await campaigns.create(database, tenant, schedule=schedule)
    await campaigns.start(database, tenant, campaign_id)
    before_change = datetime(2030, 3, 30, 9, 0, 2, tzinfo=zone).astimezone(UTC)
    for now, copies in ((before_change, 1), (before_change + timedelta(hours=23), 2)):
        await asyncio.gather(*[api.tick(campaigns.at(worker_resources, now)) for _ in range(2)])
        found = await all_of(database, tenant)
        assert len([one for one in found if one.parent_id == campaign_id]) == copies
        parent = await campaigns.get(database, tenant, campaign_id)
        assert parent.state is CampaignState.SCHEDULED
        assert parent.next_at is not None
        local = parent.next_at.astimezone(zone)
        assert (local.hour, local.minute) == (9, 0)
        assert timedelta() < parent.next_at - now <= timedelta(days=1)
    # However long nobody looked, what was missed is not made up for.
    await api.tick(campaigns.at(worker_resources, before_change + timedelta(days=60)))
    assert len(await all_of(database, tenant)) == 4


async def test_a_recurring_one_pauses_and_resumes_and_cancels(worker_resources: Resources, tenant: UUID) -> None:
    database, subject = worker_resources.database, system_subject(tenant)
    schedule = CampaignSchedule(ScheduleKind.RECURRING, cron="*/5 * * * *")
    campaign_id = await campaigns.create(database, tenant, schedule=schedule)
    await campaigns.start(database, tenant, campaign_id)
    later = campaigns.at(worker_resources, datetime.now(UTC) + timedelta(hours=1))
    async with database.transaction(tenant) as tx:
        await api.pause(tx, campaign_id)
    await api.tick(later)
    assert len(await all_of(database, tenant)) == 1
    async with database.transaction(tenant) as tx:
        resumed = await api.resume(tx, subject, campaign_id)
    assert resumed.state is CampaignState.SCHEDULED
    await api.tick(later)
    assert len(await all_of(database, tenant)) == 2
    async with database.transaction(tenant) as tx:
        await api.cancel(tx, subject, campaign_id)
    await api.tick(campaigns.at(worker_resources, datetime.now(UTC) + timedelta(hours=2)))
    assert len(await all_of(database, tenant)) == 2
