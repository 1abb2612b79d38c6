"""The ledger in figures: right, bounded in number, and read from the indexes of open rows alone."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import Metric

from carillon.kernel.ids import uuid7
from carillon.ops import metrics
from carillon.platforms.delivery import api, families, figures
from carillon.platforms.delivery.figures import Figures, LeaseFigure, Open
from carillon.runtime import figures as published
from carillon.storage.resources import Resources
from tests.fixtures.delivery import add_account


def samples(found: list[Metric]) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(one.name, tuple(one.labels.values())): one.value for family in found for one in family.samples}


async def fill(resources: Resources, tenant: UUID, states: dict[str, int], **account: Any) -> UUID:
    async with resources.database.transaction(tenant) as tx:
        made = await add_account(tx, **account)
        await tx.execute("UPDATE platforms.account SET state = 'online' WHERE id = :a", {"a": made})
        for state, count in states.items():
            await tx.execute(
                "INSERT INTO platforms.message (tenant_id, id, account_id, contact_id, lane, platform, peer, kind, "
                "priority, body, state, reason, due_at, sending_at) "
                "SELECT :t, gen_random_uuid(), :a, gen_random_uuid(), '00000000-0000-0000-0000-000000000000', "
                "'telegram', 'p', 'notice', 3, 'x', :state, CASE WHEN :state = 'held' THEN 'restored' END, "
                "now() - interval '1 hour', now() - interval '1 hour' FROM generate_series(1, :n)",
                {"t": tenant, "a": made, "state": state, "n": count},
            )
    return made


async def test_what_is_counted(worker_resources: Resources, tenant: UUID) -> None:
    account = await fill(worker_resources, tenant, {"queued": 3, "sending": 2, "held": 4, "unknown": 5, "sent": 50})
    async with worker_resources.database.transaction(tenant) as tx:
        lane = uuid7()
        await api.open_lane(tx, lane)
        found = samples(api.families(await api.read_figures(tx)))
    assert found["carillon_account_queue_messages", (str(tenant), str(account))] == 3
    assert found["carillon_tenant_queue_messages", (str(tenant),)] == 3
    assert found["carillon_queue_messages", ("sending",)] == 2
    assert found["carillon_queue_messages", ("due",)] == 3
    assert found["carillon_messages_held", ("restored",)] == 4
    assert found["carillon_messages_unknown", ()] == 5
    assert found["carillon_messages_unconfirmed", ()] == 5
    assert 3500 < found["carillon_queue_oldest_due_seconds", ("online",)] < 3700
    assert found["carillon_queue_oldest_due_seconds", ("flooded",)] == 0
    assert 3500 < found["carillon_sending_oldest_seconds", ()] < 3700
    assert found["carillon_accounts", ("online",)] == 1
    assert found["carillon_accounts", ("banned",)] == 0
    assert found["carillon_lanes", ("running",)] == 1


async def test_paused_campaigns_do_not_count_as_overdue(worker_resources: Resources, tenant: UUID) -> None:
    await fill(worker_resources, tenant, {"queued": 1})
    async with worker_resources.database.transaction(tenant) as tx:
        lane = uuid7()
        await api.pause_lane(tx, lane)
        await tx.execute("UPDATE platforms.message SET lane = :lane WHERE tenant_id = :t", {"lane": lane, "t": tenant})
        found = samples(api.families(await api.read_figures(tx)))
    assert found["carillon_queue_oldest_due_seconds", ("online",)] == 0
    assert found["carillon_queue_messages", ("due",)] == 0
    assert found["carillon_queue_messages", ("queued",)] == 1


def test_a_thousand_accounts_make_no_thousand_series() -> None:
    now, tenants = datetime.now(UTC), [uuid7() for _ in range(70)]
    rows = [
        Open(tenants[number % 70], uuid7(), "online", uuid7(), "running", number, 0, 0, now, None)
        for number in range(1_000)
    ]
    leases = [LeaseFigure(row.tenant_id, row.account_id, row.queued, "online", "x", "owned") for row in rows]
    found = samples(families.families(Figures(now, rows, [], leases, {})))
    names = [name for name, _ in found]
    assert names.count("carillon_account_queue_messages") == figures.TOP + 1
    assert names.count("carillon_tenant_queue_messages") == figures.TOP + 1
    assert names.count("carillon_lease_epoch") == figures.TOP
    of_accounts = [value for (name, _), value in found.items() if name == "carillon_account_queue_messages"]
    assert sum(of_accounts) == sum(range(1_000))
    assert found["carillon_account_queue_messages", ("other", "other")] == sum(range(1_000 - figures.TOP))
    assert found["carillon_lease_claims_total", ()] == sum(range(1_000))


@pytest.mark.parametrize("statement", [figures._OPEN, figures._WAITING], ids=["open", "waiting"])
async def test_settled_messages_are_never_read(
    worker_resources: Resources, tenant: UUID, statement: str, owner: "asyncpg.Connection[Any]"
) -> None:
    """However few of them there are: with millions the difference is minutes."""
    await fill(worker_resources, tenant, {"sent": 300, "queued": 200, "unknown": 50})
    await owner.execute("ANALYZE platforms.message")
    async with worker_resources.database.across_tenants() as tx:
        await tx.execute(figures._CAUTION)
        plan = await tx.all(f"EXPLAIN {statement}", {"unconfirmed": 900.0, "days": 7})
    text = "\n".join(row["QUERY PLAN"] for row in plan)
    assert "Seq Scan on message" not in text, text
    assert "ix_message_open" in text or "ix_message_waiting" in text, text


async def test_they_are_published_with_the_consumers(worker_resources: Resources, tenant: UUID) -> None:
    await fill(worker_resources, tenant, {"queued": 1})
    metrics.publish(await published.read(worker_resources))
    try:
        text = metrics.render("")[0].decode()
        assert f'carillon_tenant_queue_messages{{tenant="{tenant}"}} 1.0' in text
        assert "carillon_figures_read_timestamp_seconds" in text
        assert b"carillon_lease_claims_total" in metrics.render("application/openmetrics-text")[0]
    finally:
        metrics.publish([])


async def test_time_does_not_run_backwards(worker_resources: Resources, tenant: UUID) -> None:
    """A due time a moment ahead of the database's clock is no negative age."""
    now = datetime.now(UTC)
    row = Open(tenant, uuid7(), "online", uuid7(), "running", 1, 0, 1, now + timedelta(seconds=5), None)
    found = samples(families.families(Figures(now, [row], [], [], {})))
    assert found["carillon_queue_oldest_due_seconds", ("online",)] == 0
