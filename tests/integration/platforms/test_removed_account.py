"""What waits for an account that is removed: cancelled, since nobody will ever send it."""

from uuid import UUID

import pytest

from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.delivery import api, holding
from carillon.storage.resources import Resources
from tests.fixtures.delivery import add_account, add_people, make_plan, states


async def test_its_messages_are_cancelled_and_no_others(
    worker_resources: Resources, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "_SLICE", 2)
    database = worker_resources.database
    async with database.transaction(tenant) as tx:
        gone, kept = await add_account(tx), await add_account(tx)
        await add_people(tx, 8)
        for account_id in (gone, kept):
            plan = make_plan(tenant, [account_id])
            await api.write_contents(tx, plan)
            await api.plan_slice(tx, plan, None, 100)
        await tx.execute(
            "UPDATE platforms.message SET state = 'held', reason = 'account_banned' WHERE id IN "
            "(SELECT id FROM platforms.message WHERE account_id = :gone LIMIT 3)",
            {"gone": gone},
        )
        await tx.execute(
            "UPDATE platforms.message SET state = 'sending', sending_at = now() WHERE id IN "
            "(SELECT id FROM platforms.message WHERE account_id = :gone AND state = 'queued' LIMIT 1)",
            {"gone": gone},
        )
        await accounts.remove(tx, system_subject(tenant), gone)
    await api.sweep(worker_resources)
    # On its way when its process died: nobody can tell any more.
    assert await states(database, tenant) == {"queued": 8, "cancelled": 7, "unknown": 1}
    async with database.transaction(tenant) as tx:
        reasons = await tx.all("SELECT DISTINCT reason FROM platforms.message WHERE state = 'cancelled'")
    assert [row["reason"] for row in reasons] == ["account_removed"]
