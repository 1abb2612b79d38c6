"""Operators learn what needs a person, once for each window however much happens in it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from carillon.events import outbox
from carillon.events.catalog.base import Event
from carillon.events.catalog.platforms import AccountStateChanged
from carillon.events.catalog.scheduling import CampaignChanged
from carillon.events.consumer import Recorded
from carillon.kernel.ids import uuid7
from carillon.ops.notices import Notice
from carillon.runtime import noticing
from carillon.storage.resources import Resources


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    """What operators were told."""
    found: list[Notice] = []

    class Teller:
        async def notify(self, notice: Notice) -> None:
            found.append(notice)

    monkeypatch.setattr(noticing, "make_notifier", lambda _settings: Teller())
    return found


def stopped(state: str = "banned") -> AccountStateChanged:
    return AccountStateChanged(account_id=uuid7(), state=state, before="online", reason="Spam was reported.")


async def happen(resources: Resources, tenant: UUID, events: Sequence[Event]) -> None:
    """Append them, and hand them to the consumer as the runner would."""
    async with resources.database.transaction(tenant) as tx:
        await outbox.append(tx, *events)
        rows = await tx.all("SELECT id, occurred_at FROM events.event WHERE tenant_id = :t", {"t": tenant})
        at = rows[-1]["occurred_at"]
        recorded = [Recorded(uuid7(), tenant, event, 1, number, at) for number, event in enumerate(events)]
        await noticing.notice_events(resources, tx, recorded)


async def queued(owner: "asyncpg.Connection[Any]", tenant: UUID) -> list[dict[str, Any]]:
    rows = await owner.fetch(
        "SELECT payload FROM queue.pgqueuer WHERE entrypoint = $1 AND status = 'queued'", noticing.JOB
    )
    found = [orjson.loads(row["payload"]) for row in rows]
    return [job["data"] for job in found if job["tenant_id"] == str(tenant)]


async def test_many_accounts_at_once_are_one_notice(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]", told: list[Notice]
) -> None:
    await happen(worker_resources, tenant, [stopped() for _ in range(30)])
    await happen(worker_resources, tenant, [stopped("restricted"), stopped("online"), stopped("flooded")])
    jobs = await queued(owner, tenant)
    assert 1 <= len({job["since"] for job in jobs}) == len(jobs) <= 2
    for job in jobs:
        await noticing.tell(worker_resources, tenant, job)
    assert sum(int(notice.title.rpartition(" ")[2]) for notice in told) == 31
    assert all(notice.urgent and len(notice.text) < 2_000 for notice in told)
    assert "Spam was reported." in told[0].text
    assert str(tenant) in told[0].text


async def test_only_campaigns_that_paused_themselves_are_told(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]", told: list[Notice]
) -> None:
    by_hand = CampaignChanged(campaign_id=uuid7(), state="paused", before="running")
    await happen(worker_resources, tenant, [by_hand, CampaignChanged(campaign_id=uuid7(), state="running", before="x")])
    assert await queued(owner, tenant) == []
    itself = CampaignChanged(campaign_id=uuid7(), state="paused", before="running", reason="failure_rate")
    await happen(worker_resources, tenant, [itself])
    (job,) = await queued(owner, tenant)
    await noticing.tell(worker_resources, tenant, job)
    assert str(itself.campaign_id) in told[0].text
    assert str(by_hand.campaign_id) not in told[0].text


async def test_dead_letters_of_the_last_window_are_told(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]", told: list[Notice]
) -> None:
    for age in (noticing.WINDOW / 2, noticing.WINDOW * 10):
        await owner.execute(
            "INSERT INTO events.dead_letter (tenant_id, id, consumer, event_id, type, payload, xid, position, "
            "occurred_at, error_class, error, attempts, failed_at) VALUES "
            "($1, $2, $3, $4, 'x', '{}', '7', 7, now(), 'KeyError', 'e', 5, $5)",
            tenant,
            uuid7(),
            f"test.{tenant.hex}",
            uuid7(),
            noticing._window(datetime.now(UTC)) - age,
        )
    await noticing.tell_dead_letters(worker_resources)
    assert f"test.{tenant.hex} gave up 1 events: KeyError" in told[0].text


def test_windows_are_whole() -> None:
    at = datetime(2026, 1, 1, 10, 7, 31, tzinfo=UTC)
    assert noticing._window(at) == datetime(2026, 1, 1, 10, 5, tzinfo=UTC)
    assert noticing._window(at + timedelta(minutes=3)) == datetime(2026, 1, 1, 10, 10, tzinfo=UTC)
