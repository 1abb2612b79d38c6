"""Messages that a restore held: a person sends or cancels them."""

from typing import Any
from uuid import UUID

import pytest

from carillon.kernel.subject import system_subject
from carillon.platforms.delivery import api, holding
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from tests.fixtures.delivery import add_account, add_people, make_plan, states


async def hold(tx: Tx, tenant: UUID, count: int) -> tuple[UUID, UUID]:
    """A campaign whose messages a restore held; returns its id and its account's."""
    account_id = await add_account(tx)
    plan = make_plan(tenant, [account_id])
    await api.write_contents(tx, plan)
    await api.plan_slice(tx, plan, None, 100)
    await tx.execute(
        "UPDATE platforms.message SET state = 'held', reason = 'restored' WHERE lane = :lane",
        {"lane": plan.campaign_id},
    )
    return plan.campaign_id, account_id


async def row_of(tx: Tx, campaign_id: UUID) -> list[Any]:
    return list(
        await tx.all(
            "SELECT DISTINCT state, reason, reason_text FROM platforms.message WHERE lane = :lane",
            {"lane": campaign_id},
        )
    )


async def test_a_person_sends_some_and_cancels_the_rest(
    app_resources: Resources, tenant: UUID, other_tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "_SLICE", 4)
    database = app_resources.database
    async with database.transaction(other_tenant) as tx:
        await add_people(tx, 3)
        await hold(tx, other_tenant, 3)
    async with database.transaction(tenant) as tx:
        people = await add_people(tx, 6)
        (first, _), (second, account), (other, _) = [await hold(tx, tenant, 6) for _ in range(3)]
        await tx.execute("UPDATE platforms.message SET reason = 'account_parked' WHERE lane = :l", {"l": other})
    who = system_subject(tenant)
    async with database.transaction(tenant) as tx:
        assert await api.release_restored(tx, who, action="send", campaign_id=first) == (4, True)
    async with database.transaction(tenant) as tx:
        assert await api.release_restored(tx, who, action="send", campaign_id=first) == (2, False)
        assert await api.release_restored(tx, who, action="send", campaign_id=first) == (0, False)
        assert await row_of(tx, first) == [{"state": "queued", "reason": None, "reason_text": None}]
        assert (await api.release_restored(tx, who, action="cancel", account_id=account))[0] == 4
        assert await api.release_restored(tx, who, action="cancel") == (2, False)
        assert await row_of(tx, second) == [{"state": "cancelled", "reason": "cancelled", "reason_text": None}]
        acts = await tx.all("SELECT details FROM identity.audit_entry WHERE action = 'messages.restored_released'")
        assert sorted(act["details"]["messages"] for act in acts) == [2, 2, 4, 4]
        told = await tx.scalar(
            "SELECT count(*) FROM events.event WHERE type = 'message.changed' AND payload ->> 'state' = 'cancelled'"
        )
        assert told == len(people)
    assert await states(database, tenant) == {"queued": 6, "cancelled": 6, "held": 6}
    assert await states(database, other_tenant) == {"held": 3}
