"""A platform's call to us: signed or refused, stored before it is understood, and heard only once."""

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
from carillon.platforms.delivery.errors import UnknownAccount
from carillon.storage.resources import Resources

SECRET = b"a secret of the tenant's server"
CONNECTORS = {"custom_http": CustomHttpConnector(NetGuard(("127.0.0.0/8",)))}


async def add_account(resources: Resources, tenant: UUID) -> UUID:
    new = accounts.NewAccount("custom_http", "shop", "shop", settings={"url": "http://127.0.0.1:9/send"}, secret=SECRET)
    async with resources.database.transaction(tenant) as tx:
        return (await accounts.create(tx, resources.vault, system_subject(tenant), new)).id


async def call(resources: Resources, tenant: UUID, account_id: UUID, body: bytes, secret: bytes = SECRET) -> None:
    headers = {HEADER: signature(secret, datetime.now(UTC), body), "content-type": "application/json"}
    await webhooks.receive(resources, CONNECTORS, tenant, account_id, headers, body)


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
    with pytest.raises(UnknownAccount):
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
