"""A change with an `Idempotency-Key` happens once, whatever is repeated, raced or killed."""

import asyncio
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from carillon.gateway import idempotency
from carillon.storage.resources import Resources
from tests.fixtures import toy
from tests.fixtures.api import Client, FakeAuthenticator

NOTES = "/api/v1/notes"
KEY = {"idempotency-key": "k-1"}
Owner: TypeAlias = "asyncpg.Connection[Any]"


async def notes(owner: Owner, tenant: UUID) -> int:
    return int(await owner.fetchval("SELECT count(*) FROM toy.note WHERE tenant_id = $1", tenant))


async def test_a_repetition_gets_the_first_answer(client: Client, owner: Owner, tenant: UUID) -> None:
    first = await client.post(NOTES, {"name": "one"}, headers=KEY)
    again = await client.post(NOTES, {"name": "one"}, headers=KEY)
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await notes(owner, tenant) == 1


@pytest.mark.parametrize("difference", ["body", "query", "path", "method", "subject"])
async def test_another_request_with_the_same_key_is_refused(
    client: Client, authenticator: FakeAuthenticator, tenant: UUID, difference: str
) -> None:
    note = (await client.post(NOTES, {"name": "one"}, headers=KEY)).json()
    other = client.having(authorization=f"Bearer {authenticator.admit(tenant)}")
    answer = await {
        "body": lambda: client.post(NOTES, {"name": "two"}, headers=KEY),
        "query": lambda: client.post(f"{NOTES}?shade=b", {"name": "one"}, headers=KEY),
        "path": lambda: client.request("POST", f"{NOTES}/files", body=b"x", headers={**KEY, "content-type": "a/b"}),
        "method": lambda: client.request("DELETE", f"{NOTES}/{note['id']}", headers=KEY),
        "subject": lambda: other.post(NOTES, {"name": "one"}, headers=KEY),
    }[difference]()
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")


async def test_tenants_have_keys_of_their_own(
    client: Client, authenticator: FakeAuthenticator, other_tenant: UUID
) -> None:
    foreign = client.having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    mine = await client.post(NOTES, {"name": "one"}, headers=KEY)
    theirs = await foreign.post(NOTES, {"name": "one"}, headers=KEY)
    assert theirs.status == 201
    assert mine.json()["id"] != theirs.json()["id"]


async def test_an_error_is_not_kept(client: Client, owner: Owner, tenant: UUID) -> None:
    await client.post(NOTES, {"name": "taken"})
    assert (await client.post(NOTES, {"name": "taken"}, headers=KEY)).status == 409
    await owner.execute("DELETE FROM toy.note WHERE tenant_id = $1", tenant)
    assert (await client.post(NOTES, {"name": "taken"}, headers=KEY)).status == 201


async def test_concurrent_duplicates_happen_once(client: Client, owner: Owner, tenant: UUID) -> None:
    racing = [asyncio.create_task(client.post(NOTES, {"name": "wait"}, headers=KEY)) for _ in range(4)]
    await _until_waiting(owner, 3)
    toy.gate.set()
    answers = await asyncio.gather(*racing)
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False, True, True, True]
    assert await notes(owner, tenant) == 1


async def test_a_killed_transaction_leaves_the_key_free(client: Client, owner: Owner, tenant: UUID) -> None:
    first = asyncio.create_task(client.post(NOTES, {"name": "wait"}, headers=KEY))
    second = None
    try:
        await _until(owner, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO toy.note%'"
                     " AND state = 'idle in transaction' AND datname = current_database()", 1)  # fmt: skip
        second = asyncio.create_task(client.post(NOTES, {"name": "wait"}, headers=KEY))
        await _until_waiting(owner, 1)
        # What kill -9 of the API process looks like to the database.
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO toy.note%' "
            "AND state = 'idle in transaction' AND datname = current_database()"
        )
        toy.gate.set()
        assert (await first).status == 503
        answer = await second
    finally:
        toy.gate.set()
        await asyncio.gather(first, *([second] if second else []), return_exceptions=True)
    assert answer.status == 201
    assert "idempotency-replayed" not in answer.headers
    assert await notes(owner, tenant) == 1


async def test_answers_are_encrypted_at_rest(client: Client, owner: Owner, tenant: UUID) -> None:
    await client.post(NOTES, {"name": "very secret"}, headers=KEY)
    row = await owner.fetchrow("SELECT * FROM gateway.idempotency WHERE tenant_id = $1", tenant)
    assert row is not None
    assert b"very secret" not in row["body"]
    assert "very secret" not in str(dict(row))


async def test_old_keys_are_purged(client: Client, owner: Owner, tenant: UUID, worker_resources: Resources) -> None:
    await client.post(NOTES, {"name": "old"}, headers=KEY)
    await client.post(NOTES, {"name": "new"}, headers={"idempotency-key": "k-2"})
    await owner.execute(
        "UPDATE gateway.idempotency SET created_at = now() - interval '31 days' WHERE tenant_id = $1 AND key = 'k-1'",
        tenant,
    )
    assert await idempotency.purge(worker_resources) >= 1
    left = await owner.fetch("SELECT key FROM gateway.idempotency WHERE tenant_id = $1", tenant)
    assert [row["key"] for row in left] == ["k-2"]


async def _until_waiting(owner: Owner, count: int) -> None:
    await _until(owner, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                 " AND datname = current_database()", count)  # fmt: skip


async def _until(owner: Owner, question: str, count: int) -> None:
    async with asyncio.timeout(20):
        while int(await owner.fetchval(question)) < count:  # noqa: ASYNC110 - the database tells only when asked
            await asyncio.sleep(0.01)
