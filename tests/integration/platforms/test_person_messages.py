"""What was said with a person: handed out with the rest, and removed with it."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from carillon.audience.contacts import api as contacts
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.delivery import api
from carillon.storage.resources import Resources
from tests.fixtures import campaigns
from tests.fixtures.database import VAULT
from tests.fixtures.delivery import add_account, add_people

_CAME = (
    "INSERT INTO platforms.inbound_message (tenant_id, id, account_id, contact_id, chat, sender, platform_id, body,"
    " raw, sent_at) SELECT :tenant, gen_random_uuid(), :account, :contact, peer, peer, 'm', 'my secret',"
    " jsonb_build_object('from', peer), now() FROM platforms.message WHERE contact_id = :contact LIMIT 1"
)
_SENT = (
    "INSERT INTO platforms.message (tenant_id, id, account_id, contact_id, lane, platform, peer, kind, priority, body,"
    " state, due_at) VALUES (:tenant, :id, :account, :contact, '00000000-0000-0000-0000-000000000000', 'telegram',"
    " :peer, 'reply', 1, 'your secret', 'read', now())"
)
_CALLED = (
    "INSERT INTO platforms.webhook_call (tenant_id, id, account_id, headers, body)"
    " VALUES (:tenant, :id, :account, '{}', convert_to(:body, 'UTF8'))"
)


async def said(resources: Resources, tenant: UUID) -> list[UUID]:
    """Two people, each with a message in both directions and a call of their platform."""
    async with resources.database.transaction(tenant) as tx:
        account = await add_account(tx)
        people = await add_people(tx, 2)
        for person in people:
            values = {"tenant": tenant, "account": account, "contact": person}
            await tx.execute(_SENT, {**values, "id": uuid7(), "peer": f"peer-{person}"})
            await tx.execute(_CAME, values)
            call = {"tenant": tenant, "account": account, "id": uuid7(), "body": f'{{"from": "peer-{person}"}}'}
            await tx.execute(_CALLED, call)
    return people


async def traces(owner: "asyncpg.Connection[asyncpg.Record]", tenant: UUID) -> dict[str, str]:
    """Every row of the tables that hold what was said, as text."""
    found = {}
    for table in ("message", "inbound_message", "webhook_call", "contact_route"):
        rows = await owner.fetch(f"SELECT t::text AS row FROM platforms.{table} t WHERE tenant_id = $1", tenant)
        found[table] = "\n".join(row["row"] for row in rows)
    return found


async def test_it_is_handed_out_and_erased(
    app_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    import carillon.runtime.services  # noqa: F401 - registers what services hold about people

    gone, kept = await said(app_resources, tenant)
    subject, database = system_subject(tenant), app_resources.database
    async with database.transaction(tenant) as tx:
        answer: dict[str, Any] = json.loads(
            TypeAdapter(dict[str, object]).dump_json(await contacts.export_person(tx, subject, gone))
        )
    (part,) = answer["messages"]
    assert [(one["body"], one["state"]) for one in part["sent"]] == [("your secret", "read")]
    assert [(one["body"], one["raw"]) for one in part["received"]] == [("my secret", {"from": f"peer-{gone}"})]
    async with database.transaction(tenant) as tx:
        await contacts.erase_person(tx, subject, gone, confirm=gone, vault=VAULT)
    for table, text in (await traces(owner, tenant)).items():
        assert f"peer-{gone}" not in text, table
        assert text.count("secret") == (table in ("message", "inbound_message")), table
        assert f"peer-{kept}".encode().hex() in text or f"peer-{kept}" in text or table == "contact_route", table
        assert f"peer-{gone}".encode().hex() not in text, table


async def test_calls_are_forgotten_after_a_month(worker_resources: Resources, tenant: UUID) -> None:
    await said(worker_resources, tenant)
    count = "SELECT count(*) FROM platforms.webhook_call"
    now = worker_resources.clock.now()
    await api.forget_calls(campaigns.at(worker_resources, now + timedelta(days=29)))
    async with worker_resources.database.transaction(tenant) as tx:
        assert await tx.scalar(count) == 2
    await api.forget_calls(campaigns.at(worker_resources, now + timedelta(days=31)))
    async with worker_resources.database.transaction(tenant) as tx:
        assert await tx.scalar(count) == 0
