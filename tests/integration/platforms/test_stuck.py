"""What does not move is found with its reason, and what merely waits is not."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from carillon.events import outbox
from carillon.events.catalog.platforms import MessageChanged
from carillon.kernel.ids import uuid7
from carillon.platforms.delivery import api
from carillon.platforms.delivery.contracts import DIRECT_LANE
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from tests.fixtures.delivery import add_account

pytestmark = pytest.mark.usefixtures("calm")


@pytest.fixture
async def calm(owner: "asyncpg.Connection[Any]") -> None:
    """No worker and no dead letters of other tests."""
    await owner.execute("DELETE FROM platforms.worker")


async def put(tx: Tx, account: UUID, state: str, *, lane: UUID = DIRECT_LANE, **values: Any) -> UUID:
    made = uuid7()
    row = {
        "id": made,
        "reason": None,
        "due_at": datetime.now(UTC) - timedelta(hours=1),
        "sending_at": None,
        **values,
    }
    await tx.execute(
        "INSERT INTO platforms.message (tenant_id, id, account_id, contact_id, lane, platform, peer, kind, priority, "
        "body, state, reason, due_at, sending_at) VALUES (:t, :id, :a, gen_random_uuid(), :lane, 'telegram', 'p', "
        "'notice', 3, 'x', :state, :reason, :due_at, :sending_at)",
        {"t": tx.tenant, "a": account, "lane": lane, "state": state, **row},
    )
    return made


async def owned(tx: Tx, owner: "asyncpg.Connection[Any]", account: UUID, *, alive: bool = True) -> None:
    worker = uuid7()
    await owner.execute(
        "INSERT INTO platforms.worker (id, name, expires_at) VALUES ($1, $2, now() + $3)",
        worker,
        str(worker),
        timedelta(minutes=1 if alive else -5),
    )
    await tx.execute(
        "INSERT INTO platforms.account_lease (tenant_id, id, worker_id, epoch) VALUES (:t, :a, :w, 1)",
        {"t": tx.tenant, "a": account, "w": worker},
    )


async def kinds(resources: Resources, tenant: UUID) -> dict[str, int]:
    async with resources.database.transaction(tenant) as tx:
        found = await api.find_stuck(tx)
    assert all(one.why and one.mend and one.tenant_id in (None, tenant) for one in found)
    return {kind: sum(one.count for one in found if one.kind == kind) for kind in {one.kind for one in found}}


async def test_nothing_is_stuck_where_things_merely_wait(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]"
) -> None:
    async with worker_resources.database.transaction(tenant) as tx:
        online = await add_account(tx)
        await owned(tx, owner, online)
        await tx.execute("UPDATE platforms.account SET state = 'online' WHERE id = :a", {"a": online})
        await put(tx, online, "queued", due_at=datetime.now(UTC) + timedelta(days=1))
        await put(tx, online, "queued", due_at=datetime.now(UTC))
        await put(tx, online, "sending", sending_at=datetime.now(UTC))
        await put(tx, online, "unknown", sending_at=datetime.now(UTC))
        await put(tx, online, "sent", sending_at=datetime.now(UTC) - timedelta(days=3))
        await put(tx, online, "unknown", sending_at=datetime.now(UTC) - timedelta(hours=1), reason="resent")
        paused = uuid7()
        await api.pause_lane(tx, paused)
        await put(tx, online, "queued", lane=paused)
    assert await kinds(worker_resources, tenant) == {}


async def test_due_for_long_while_everything_it_needs_is_there(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]"
) -> None:
    async with worker_resources.database.transaction(tenant) as tx:
        still, busy = await add_account(tx), await add_account(tx)
        for account in (still, busy):
            await owned(tx, owner, account)
            await tx.execute("UPDATE platforms.account SET state = 'online' WHERE id = :a", {"a": account})
            await put(tx, account, "queued")
            await put(tx, account, "queued")
        moved = MessageChanged(message_id=uuid7(), account_id=busy, contact_id=uuid7(), kind="notice", state="sent")
        await outbox.append(tx, moved)
    assert await kinds(worker_resources, tenant) == {"due_not_sent": 2}


async def test_leases_and_accounts_without_a_living_worker(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]"
) -> None:
    async with worker_resources.database.transaction(tenant) as tx:
        dead, free, missing = await add_account(tx), await add_account(tx), await add_account(tx)
        await owned(tx, owner, dead, alive=False)
        await put(tx, dead, "sending", sending_at=datetime.now(UTC) - timedelta(hours=1))
        await tx.execute("UPDATE platforms.account SET state_at = now() - interval '1 hour' WHERE id = :a", {"a": free})
        await tx.execute(
            "UPDATE platforms.account SET state = 'signed_out', "
            "reason = 'This installation has no connector named fax.' WHERE id = :a",
            {"a": missing},
        )
    assert await kinds(worker_resources, tenant) == {
        "lease_without_worker": 1,
        "sending_too_long": 1,
        "account_without_worker": 1,
        "no_connector": 1,
    }


async def test_campaigns_whose_accounts_cannot_send(worker_resources: Resources, tenant: UUID) -> None:
    lane = uuid7()
    async with worker_resources.database.transaction(tenant) as tx:
        banned = await add_account(tx)
        await tx.execute("UPDATE platforms.account SET state = 'banned' WHERE id = :a", {"a": banned})
        await api.open_lane(tx, lane)
        await put(tx, banned, "held", lane=lane, reason="account_banned")
        await put(tx, banned, "held", lane=lane, reason="account_banned")
    assert await kinds(worker_resources, tenant) == {"campaign_without_accounts": 2, "held_by_account": 2}


async def test_what_waits_for_a_person(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]"
) -> None:
    async with worker_resources.database.transaction(tenant) as tx:
        account = await add_account(tx)
        await put(tx, account, "unknown", sending_at=datetime.now(UTC) - timedelta(hours=1), reason="uncertain")
        await put(tx, account, "unknown", sending_at=datetime.now(UTC) - timedelta(days=30), reason="uncertain")
        await put(tx, account, "held", reason="restored")
        await tx.execute(
            "INSERT INTO platforms.webhook_call (tenant_id, id, account_id, headers, body, error) "
            "VALUES (:t, :id, :a, '{}', '', 'no JSON')",
            {"t": tenant, "id": uuid7(), "a": account},
        )
    await owner.execute(
        "INSERT INTO events.dead_letter (tenant_id, id, consumer, event_id, type, payload, xid, position, "
        "occurred_at, error_class, error, attempts) VALUES "
        "($1, $2, 'platforms.delivery.webhooks', $3, 'webhook.received', $4::text::jsonb, '7', 7, now(), 'E', 'e', 5)",
        tenant,
        uuid7(),
        uuid7(),
        orjson.dumps({}).decode(),
    )
    assert await kinds(worker_resources, tenant) == {
        "unconfirmed": 1,
        "held_restored": 1,
        "webhook_not_understood": 1,
        "dead_letters": 1,
    }


async def test_across_tenants_consumers_are_looked_at_too(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]"
) -> None:
    name = f"test.behind.{tenant.hex}"
    async with worker_resources.database.transaction(tenant) as tx:
        moved = MessageChanged(message_id=uuid7(), account_id=uuid7(), contact_id=uuid7(), kind="notice", state="sent")
        await outbox.append(tx, moved)
    await owner.execute(
        "UPDATE events.event SET occurred_at = now() - interval '5 minutes' WHERE tenant_id = $1", tenant
    )
    await owner.execute(
        "INSERT INTO events.cursor (consumer, xid, position) "
        "SELECT $1, xid, position - 1 FROM events.event WHERE tenant_id = $2",
        name,
        tenant,
    )
    try:
        async with worker_resources.database.across_tenants() as tx:
            found = await api.find_stuck(tx)
    finally:
        await owner.execute("DELETE FROM events.cursor WHERE consumer = $1", name)
    assert any(one.kind == "consumer_behind" and name in one.why for one in found)


async def test_a_tenant_sees_only_its_own(
    worker_resources: Resources, app_resources: Resources, tenant: UUID, other_tenant: UUID
) -> None:
    async with worker_resources.database.transaction(tenant) as tx:
        await put(tx, await add_account(tx), "held", reason="restored")
    assert await kinds(app_resources, other_tenant) == {}
    assert await kinds(app_resources, tenant) == {"held_restored": 1}
