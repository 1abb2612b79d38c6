"""Tenants do not see each other's people, and no secret is stored as it is."""

import asyncio
from typing import Any

import pyotp
import pytest
from sqlalchemy.exc import DBAPIError

from carillon.identity.tenants import api as tenants
from carillon.identity.tenants.errors import SlugInvalid, SlugTaken
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.storage import rls
from carillon.storage.database import Database

from .conftest import PASSWORD, Browser, Town, TurnedClock

TABLES = ["membership", "role", "invitation", "session", "api_key", "audit_entry", "audit_head", "member"]


async def test_people_are_seen_by_their_tenants_only(app_database: Database, town: Town, other_town: Town, tenant: Any):
    mine, theirs, both = await town.add(), await other_town.add(), await town.add("agent")
    await other_town.admit(both)

    async def seen(tenant_id: Any) -> set[Any]:
        async with app_database.transaction(tenant_id) as tx:
            return {row["id"] for row in await tx.all('SELECT id FROM identity."user"')}

    assert await seen(town.id) == {mine.id, both.id}
    assert await seen(other_town.id) == {theirs.id, both.id}
    assert await seen(tenant) == set()


async def test_nothing_of_another_tenant_is_seen_or_changed(
    app_database: Database, town: Town, other_town: Town, browser: Browser
):
    person = await town.add("owner")
    await browser.login(person.email)
    await browser.post("/api-keys", {"name": "k", "permissions": ["users:read"]})
    await browser.post("/users/invitations", {"email": "x@example.org", "role_id": str(await town.role_id("agent"))})
    async with app_database.transaction(other_town.id) as tx:
        for table in TABLES:
            column = {"tenant_id": town.id}
            count = await tx.scalar(f"SELECT count(*) FROM identity.{table} WHERE tenant_id = :tenant_id", column)
            assert count == 0, table
        assert [row["id"] for row in await tx.all("SELECT id FROM identity.tenant")] == [other_town.id]
        update = 'UPDATE identity."user" SET name = :name WHERE id = :id'
        assert (await tx.execute(update, {"name": "Mallory", "id": person.id})).rowcount == 0
    async with app_database.transaction(town.id) as tx:
        for table in TABLES:
            column = {"tenant_id": town.id}
            assert await tx.scalar(f"SELECT count(*) FROM identity.{table} WHERE tenant_id = :tenant_id", column), table


async def test_the_api_role_sees_nobody_across_tenants(app_database: Database, town: Town):
    await town.add()
    async with app_database.across_tenants() as tx:
        for table in ['"user"', "tenant", *TABLES]:
            assert await tx.scalar(f"SELECT count(*) FROM identity.{table}") == 0, table


async def test_nobody_is_written_into_another_tenant(app_database: Database, town: Town, other_town: Town):
    person = await town.add()
    with pytest.raises(DBAPIError, match="row-level security"):
        async with app_database.transaction(other_town.id) as tx:
            await tx.execute(
                "INSERT INTO identity.membership (tenant_id, user_id, role_id) VALUES (:tenant, :user, :role)",
                {"tenant": town.id, "user": person.id, "role": await town.role_id("owner")},
            )
    with pytest.raises(DBAPIError, match="row-level security"):
        async with app_database.across_tenants() as tx:
            await tx.execute(
                "INSERT INTO identity.\"user\" (id, email, name, password_hash) VALUES (:id, 'a@b', 'x', 'x')",
                {"id": uuid7()},
            )


async def test_the_look_up_before_sign_in_is_the_only_one(app_database: Database, town: Town, owner: Any):
    functions = await owner.fetch(
        "SELECT p.proname, r.rolname, p.proconfig FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner "
        "JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prosecdef AND n.nspname = 'identity'"
    )
    assert [(row["proname"], row["rolname"]) for row in functions] == [("sign_in", rls.WORKER)]
    assert "search_path=pg_catalog, pg_temp" in functions[0]["proconfig"]
    assert not await owner.fetchval("SELECT has_schema_privilege($1, 'identity', 'CREATE')", rls.WORKER)
    person = await town.add()
    async with app_database.across_tenants() as tx:
        rows = await tx.all("SELECT * FROM identity.sign_in(:email)", {"email": person.email})
        assert [row["tenant_id"] for row in rows] == [town.id]
        assert not await tx.all("SELECT * FROM identity.sign_in('%')")
        # Its view across tenants ends with it.
        assert await tx.scalar("SELECT current_setting('app.scope', true)") == "all"
        assert await tx.scalar('SELECT count(*) FROM identity."user"') == 0
    async with app_database.transaction(town.id) as tx:
        await tx.all("SELECT * FROM identity.sign_in(:email)", {"email": person.email})
        assert await tx.scalar("SELECT current_setting('app.scope', true)") == ""


async def test_the_roles_pass_the_check_at_boot(app_database: Database, worker_database: Database):
    for database in (app_database, worker_database):
        async with database.engine.connect() as connection:
            await rls.check_role(connection)


async def test_no_secret_is_stored_as_it_is(browser: Browser, town: Town, clock: TurnedClock, owner: Any):
    person = await town.add("owner")
    await browser.login(person.email)
    secrets = {"password": PASSWORD, "session": browser.token}
    secrets["session's secret"] = browser.token[-43:]
    enrolment = (await browser.post("/auth/totp", {"password": PASSWORD})).json()
    secrets["second factor"] = enrolment["secret"]
    code = pyotp.TOTP(enrolment["secret"]).at(clock.now())
    codes = (await browser.post("/auth/totp/confirm", {"code": code})).json()["recovery_codes"]
    secrets["recovery code"] = codes[0]
    secrets["recovery code without its dash"] = codes[0].replace("-", "")
    # With an idempotency key the gateway keeps the answer too.
    idempotent = {"headers": {"idempotency-key": uuid7().hex}}
    key = (await browser.post("/api-keys", {"name": "k", "permissions": ["users:read"]}, **idempotent)).json()["key"]
    secrets |= {"key": key, "key's secret": key[-43:]}
    body = {"email": f"x-{uuid7().hex[-6:]}@example.org", "role_id": str(await town.role_id("agent"))}
    invitation = (await browser.post("/users/invitations", body)).json()["token"]
    secrets |= {"invitation": invitation, "invitation's secret": invitation[-43:]}
    await browser.login(person.email, "a password that is wrong", code="123456")
    secrets["wrong password"] = "a password that is wrong"

    stored = await everything(owner)
    assert person.email in stored
    for name, secret in secrets.items():
        for form in (secret, secret.encode().hex()):
            assert form not in stored, name


async def everything(owner: Any) -> str:
    """All rows of all our tables, as text; bytes appear in hex."""
    tables = await owner.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
        "WHERE schemaname IN ('identity', 'events', 'gateway', 'queue', 'storage')"
    )
    texts = []
    for table in tables:
        rows = await owner.fetch(f"SELECT t::text AS row FROM {table['name']} t")
        texts += [row["row"] for row in rows]
    return "\n".join(texts)


async def test_nothing_secret_is_logged(browser: Browser, town: Town, log_lines: list[Any]):
    person = await town.add("owner")
    await browser.login(person.email)
    await browser.login(person.email, "a password that is wrong")
    text = str(log_lines)
    assert "/api/v1/auth/login" in text
    for secret in (PASSWORD, browser.token, "a password that is wrong"):
        assert secret not in text


async def test_slugs_are_unique_and_of_their_form(app_database: Database, worker_database: Database, town: Town):
    for slug in ("", "x", "-a", "a-", "Upper", "a b", "api", "a" * 64):
        with pytest.raises(SlugInvalid):
            await tenants.create_tenant(app_database, name="T", slug=slug)
    with pytest.raises(SlugTaken):
        await tenants.create_tenant(app_database, name="T", slug=town.slug)
    async with worker_database.across_tenants() as tx:
        assert (await tenants.find_tenant(tx, town.slug)).id == town.id


async def test_tenants_are_listed_for_the_operator(worker_database: Database, town: Town, other_town: Town):
    seen, cursor = [], None
    while True:
        async with worker_database.across_tenants() as tx:
            page = await tenants.list_tenants(tx, PageRequest(limit=2, cursor=cursor))
        seen += [one.id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert {town.id, other_town.id} <= set(seen)


async def test_one_address_is_one_person_in_any_case(town: Town, other_town: Town):
    from carillon.identity.users.errors import EmailTaken

    address = f"Anna-{uuid7().hex[-6:]}@example.org".lower()
    results = await asyncio.gather(town.add("agent", address), other_town.add("agent", address), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == [EmailTaken.__name__, "Person"]


async def test_a_bare_row_is_enough_for_a_tenant(owner: Any):
    tenant_id = uuid7()
    await owner.execute(
        "INSERT INTO identity.tenant (id, name, slug) VALUES ($1, 'Bare', $2)", tenant_id, tenant_id.hex
    )
    assert await owner.fetchval("SELECT time_zone FROM identity.tenant WHERE id = $1", tenant_id) == "UTC"
