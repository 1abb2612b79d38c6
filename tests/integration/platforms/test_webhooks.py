"""A platform's call to us: signed or refused, stored before it is understood, and heard only once."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from carillon.events.adapters.postgres import PostgresBus
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.custom_http.signature import HEADER, signature
from carillon.platforms.delivery import api, webhooks
from carillon.storage.resources import Resources

SECRET = b"a secret of the tenant's server"
CONNECTORS = {"custom_http": CustomHttpConnector(NetGuard(("127.0.0.0/8",)))}


async def add_account(resources: Resources, tenant: UUID, name: str = "shop") -> UUID:
    new = accounts.NewAccount("custom_http", name, name, settings={"url": "http://127.0.0.1:9/send"}, secret=SECRET)
    async with resources.database.transaction(tenant) as tx:
        return (await accounts.create(tx, resources.vault, system_subject(tenant), new)).id


async def call(resources: Resources, tenant: UUID, account_id: UUID, body: bytes, secret: bytes = SECRET) -> None:
    headers = {HEADER: signature(secret, datetime.now(UTC), body), "content-type": "application/json"}
    await webhooks.Receiver(resources, CONNECTORS).receive(tenant, account_id, headers, body)


class Caller:
    """A platform that calls one process of ours again and again."""

    def __init__(self, resources: Resources, tenant: UUID) -> None:
        self._receiver = webhooks.Receiver(resources, CONNECTORS)
        self._tenant = tenant

    async def __call__(self, account_id: UUID, body: bytes, secret: bytes = SECRET, agent: str = "test") -> None:
        signed = signature(secret, datetime.now(UTC), body)
        headers = {HEADER: signed, "content-type": "application/json", "user-agent": agent}
        await self._receiver.receive(self._tenant, account_id, headers, body)


async def understand(resources: Resources) -> None:
    await PostgresBus(resources, [api.webhook_consumer(CONNECTORS)]).drain(wait=False)


def said(text: str, number: str = "m1") -> bytes:
    update = {"type": "message", "id": number, "chat": "c-1", "text": text, "at": "2026-11-01T12:00:00Z"}
    return orjson.dumps({"updates": [update]})


async def test_a_call_becomes_a_message_once_however_often_it_comes(
    app_resources: Resources, worker_resources: Resources, tenant: UUID
) -> None:
    account_id = await add_account(app_resources, tenant)
    for _ in range(5):
        await call(app_resources, tenant, account_id, said("hello"))
    await understand(worker_resources)
    async with app_resources.database.transaction(tenant) as tx:
        rows = await tx.all("SELECT body, chat FROM platforms.inbound_message")
        assert [dict(row) for row in rows] == [{"body": "hello", "chat": "c-1"}]
        assert await tx.scalar("SELECT count(*) FROM platforms.webhook_call") == 5


async def test_a_stop_by_webhook_opts_out_and_is_confirmed_once(
    app_resources: Resources, worker_resources: Resources, tenant: UUID
) -> None:
    account_id = await add_account(app_resources, tenant)
    await call(app_resources, tenant, account_id, said("STOP", "m1"))
    await call(app_resources, tenant, account_id, said("stop!", "m2"))
    await understand(worker_resources)
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT opted_out_at IS NOT NULL FROM audience.contact")
        kinds = [row["kind"] for row in await tx.all("SELECT kind FROM platforms.message")]
    assert kinds == ["confirmation"]


@pytest.mark.parametrize("secret", [b"another secret", b""])
async def test_a_forged_call_leaves_nothing(app_resources: Resources, tenant: UUID, secret: bytes) -> None:
    account_id = await add_account(app_resources, tenant)
    with pytest.raises(webhooks.BadSignature):
        await call(app_resources, tenant, account_id, said("hello"), secret)
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM platforms.webhook_call") == 0


async def test_another_tenants_account_is_not_there(app_resources: Resources, tenant: UUID, other_tenant: UUID) -> None:
    account_id = await add_account(app_resources, tenant)
    with pytest.raises(accounts.AccountNotFound):
        await call(app_resources, other_tenant, account_id, said("hello"))


async def test_what_makes_no_sense_is_kept_with_the_reason(
    app_resources: Resources, worker_resources: Resources, tenant: UUID
) -> None:
    account_id = await add_account(app_resources, tenant)
    await call(app_resources, tenant, account_id, b'{"updates": [{"type": "parade"}]}')
    await call(app_resources, tenant, account_id, said("still heard"))
    await understand(worker_resources)
    async with app_resources.database.transaction(tenant) as tx:
        errors = [row["error"] for row in await tx.all("SELECT error FROM platforms.webhook_call ORDER BY id")]
        assert errors[0]
        assert errors[1] is None
        assert await tx.scalar("SELECT body FROM platforms.inbound_message") == "still heard"


@pytest.mark.parametrize("chat", ["a\nb", "  ", "\u202eevil"])
async def test_a_sender_that_cannot_be_one_keeps_no_stop_waiting(
    app_resources: Resources, worker_resources: Resources, tenant: UUID, chat: str
) -> None:
    account_id = await add_account(app_resources, tenant)
    at = "2026-11-01T12:00:00Z"
    bad = {"type": "message", "id": "b1", "chat": chat, "text": "hi", "at": at}
    stop = {"type": "message", "id": "m1", "chat": "c-1", "text": "STOP", "at": at}
    await call(app_resources, tenant, account_id, said("before", "m0"))
    await call(app_resources, tenant, account_id, orjson.dumps({"updates": [bad, {"type": "parade"}, stop]}))
    await call(app_resources, tenant, account_id, orjson.dumps({"updates": [bad]}))
    await call(app_resources, tenant, account_id, said("after", "m2"))
    await understand(worker_resources)
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT opted_out_at IS NOT NULL FROM audience.contact")
        rows = await tx.all("SELECT body FROM platforms.inbound_message ORDER BY id")
        assert [row["body"] for row in rows] == ["before", "STOP", "after"]
        errors = [row["error"] for row in await tx.all("SELECT error FROM platforms.webhook_call ORDER BY id")]
    assert [error is not None for error in errors] == [False, True, True, False]


async def test_a_storm_is_stored_call_by_call_and_heard_in_its_order(
    app_resources: Resources, worker_resources: Resources, tenant: UUID
) -> None:
    caller = Caller(app_resources, tenant)
    pool = [await add_account(app_resources, tenant, f"s{n}") for n in (1, 2)]
    for account_id in pool:
        await caller(account_id, b'{"updates": []}')
    calls = [(pool[number % 2], said(f"text {number}", f"m{number}")) for number in range(400)]
    await asyncio.gather(*(caller(*one) for one in calls), *(caller(*one) for one in calls[:50]))
    await understand(worker_resources)
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM platforms.webhook_call") == 452
        # Many shared a transaction, or the figure of `bench inbound` is a dream.
        assert await tx.scalar("SELECT count(DISTINCT xmin::text) FROM platforms.webhook_call") < 100
        rows = await tx.all("SELECT body FROM platforms.inbound_message ORDER BY id")
    assert [row["body"] for row in rows] == [f"text {number}" for number in range(400)]


async def test_a_new_secret_counts_at_once_and_the_old_one_no_more(app_resources: Resources, tenant: UUID) -> None:
    account_id, caller = await add_account(app_resources, tenant), Caller(app_resources, tenant)
    await caller(account_id, said("one", "m1"))
    async with app_resources.database.transaction(tenant) as tx:
        subject = system_subject(tenant)
        await accounts.set_secret(tx, app_resources.vault, subject, account_id, b"quite another secret")
    with pytest.raises(webhooks.BadSignature):
        await caller(account_id, said("two", "m2"))
    await caller(account_id, said("three", "m3"), b"quite another secret")
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM platforms.webhook_call") == 2


async def test_a_deleted_account_is_not_called_any_more(
    app_resources: Resources, worker_resources: Resources, tenant: UUID
) -> None:
    account_id, caller = await add_account(app_resources, tenant), Caller(app_resources, tenant)
    await caller(account_id, said("one", "m1"))
    async with app_resources.database.transaction(tenant) as tx:
        await accounts.park(tx, system_subject(tenant), account_id)
    await caller(account_id, said("two", "m2"))
    async with app_resources.database.transaction(tenant) as tx:
        await accounts.remove(tx, system_subject(tenant), account_id)
    with pytest.raises(accounts.AccountNotFound):
        await caller(account_id, said("three", "m3"))
    # What it said before and nobody has read yet is heard all the same: we said that it is safe.
    other = await add_account(app_resources, tenant, "other")
    await caller(other, said("four", "m4"))
    await understand(worker_resources)
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM platforms.webhook_call WHERE error IS NOT NULL") == 0
        rows = await tx.all("SELECT body FROM platforms.inbound_message ORDER BY body")
    assert [row["body"] for row in rows] == ["four", "one", "two"]


async def test_a_stop_that_a_removed_account_heard_counts(
    app_resources: Resources, worker_resources: Resources, tenant: UUID
) -> None:
    account_id, caller = await add_account(app_resources, tenant), Caller(app_resources, tenant)
    await caller(account_id, said("STOP", "m1"))
    async with app_resources.database.transaction(tenant) as tx:
        await accounts.remove(tx, system_subject(tenant), account_id)
    await understand(worker_resources)
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM audience.contact WHERE opted_out_at IS NOT NULL") == 1
        # The account that could confirm it is gone.
        assert await tx.scalar("SELECT count(*) FROM platforms.message") == 0


async def test_one_call_that_cannot_be_stored_does_not_hurt_its_neighbours(
    app_resources: Resources, tenant: UUID
) -> None:
    account_id, caller = await add_account(app_resources, tenant), Caller(app_resources, tenant)
    agents = ["\0" if number == 7 else "fine" for number in range(20)]
    calls = [caller(account_id, said("hello", f"m{n}"), agent=agent) for n, agent in enumerate(agents)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == [7]
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM platforms.webhook_call") == 19


async def test_in_one_call_the_last_word_stands(
    app_resources: Resources, worker_resources: Resources, tenant: UUID
) -> None:
    account_id = await add_account(app_resources, tenant)
    at = "2026-11-01T12:00:0{}Z"
    words = [
        {"type": "message", "id": "m1", "chat": "c-1", "text": "STOP", "at": at.format(1)},
        {"type": "message", "id": "m1", "chat": "c-1", "text": "STOP", "at": at.format(1)},
        {"type": "message", "id": "m2", "chat": "c-1", "text": "START", "at": at.format(2)},
        {"type": "message", "id": "m3", "chat": "c-2", "text": "hello", "at": at.format(3)},
        {"type": "blocked", "peer": "c-2", "at": at.format(4)},
        {"type": "message", "id": "m4", "chat": "c-2", "text": "hello again", "at": at.format(5)},
    ]
    await call(app_resources, tenant, account_id, orjson.dumps({"updates": words}))
    await understand(worker_resources)
    people = """
        SELECT i.value, c.opted_out_at IS NOT NULL AS out FROM audience.contact c
        JOIN audience.identity i ON i.contact_id = c.id ORDER BY i.value
    """
    async with app_resources.database.transaction(tenant) as tx:
        assert {row["value"]: row["out"] for row in await tx.all(people)} == {"c-1": False, "c-2": True}
        assert await tx.scalar("SELECT count(*) FROM platforms.inbound_message") == 4
