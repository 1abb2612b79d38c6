"""Signing in: the right password, the wrong one, too many of them."""

from dataclasses import replace

import pytest
from argon2 import PasswordHasher

from carillon.gateway.app import create_app
from carillon.identity.auth import api as auth
from carillon.identity.auth import passwords
from carillon.identity.auth.manifest import manifest
from carillon.identity.tenants import api as tenants
from carillon.identity.tenants.contracts import Tenant
from carillon.identity.users import api as users
from carillon.kernel.paging import Page
from carillon.storage.resources import Resources
from tests.fixtures.api import Client

from .conftest import PASSWORD, Browser, Town, TurnedClock


async def test_a_right_password_opens_a_session(browser: Browser, town: Town):
    person = await town.add("agent")
    answer = await browser.login(person.email.upper())
    assert answer.status == 200
    assert answer.json()["tenant_id"] == str(town.id)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"carillon=cs_{town.id.hex}_")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert browser.token not in answer.body.decode()

    me = (await browser.get("/auth/me")).json()
    assert me["user"]["email"] == person.email
    assert "messages:send" in me["permissions"]
    assert "users:write" not in me["permissions"]
    assert [own["slug"] for own in me["tenants"]] == [town.slug]


async def test_behind_https_the_cookie_is_locked_to_the_host(resources: Resources, town: Town):
    person = await town.add()
    https = replace(resources, settings=resources.settings.model_copy(update={"public_url": "https://bells.example"}))
    app = create_app([manifest], https, auth.IdentityAuthenticator(https))
    browser = Browser(Client(app, address="198.19.0.1"))
    answer = await browser.login(person.email)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-carillon=cs_")
    assert {"Secure", "Path=/", "HttpOnly"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie
    assert (await browser.get("/auth/me")).status == 200


@pytest.mark.parametrize("known", [True, False])
async def test_a_wrong_password_and_an_unknown_person_look_alike(
    browser: Browser, town: Town, known: bool, monkeypatch: pytest.MonkeyPatch
):
    person = await town.add()
    looked_at: list[str] = []
    original = passwords._matches

    def counted(stored: str, password: str) -> bool:
        looked_at.append(stored)
        return original(stored, password)

    monkeypatch.setattr(passwords, "_matches", counted)
    email = person.email if known else f"nobody-{person.email}"
    answer = await browser.login(email, "not the password")
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert "set-cookie" not in answer.headers
    # The same work, and nothing in the answer that differs.
    assert len(looked_at) == 1
    assert set(answer.json()) == {"type", "title", "status", "code", "detail", "request_id"}


async def test_attempts_for_an_account_run_out_and_come_back(browser: Browser, town: Town, clock: TurnedClock):
    person = await town.add()
    for _ in range(5):
        assert (await browser.login(person.email, "not the password")).code == "invalid_credentials"
    answer = await browser.login(person.email)
    assert (answer.status, answer.code) == (429, "throttled")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    # The same person from elsewhere is not locked out.
    elsewhere = Browser(replace(browser.client, address="203.0.113.77"))
    assert (await elsewhere.login(person.email)).status == 200
    clock.turn(seconds=int(answer.headers["retry-after"]))
    assert (await browser.login(person.email)).status == 200


async def test_a_right_password_gives_the_attempts_back(browser: Browser, town: Town):
    person = await town.add()
    for _ in range(3):
        for _ in range(4):
            await browser.login(person.email, "not the password")
        assert (await browser.login(person.email)).status == 200


async def test_an_account_is_guarded_against_many_addresses(browser: Browser, town: Town):
    person = await town.add()
    answers = []
    for number in range(21):
        attacker = Browser(replace(browser.client, address=f"2001:db8:{number:x}::1"))
        answers.append((await attacker.login(person.email, "not the password")).status)
    assert answers == [401] * 20 + [429]


async def test_an_address_is_guarded_against_many_accounts(browser: Browser):
    # Every host of an IPv6 subscriber counts as one.
    answers = []
    for number in range(31):
        attacker = Browser(replace(browser.client, address=f"2001:db8:aaaa::{number:x}"))
        answers.append((await attacker.login(f"victim{number}@example.net", "not the password")).status)
    assert answers == [401] * 30 + [429]


async def test_counts_survive_a_restart(resources: Resources, browser: Browser, town: Town):
    person = await town.add()
    for _ in range(5):
        await browser.login(person.email, "not the password")
    restarted = create_app([manifest], resources, auth.IdentityAuthenticator(resources))
    again = Browser(replace(browser.client, app=restarted))
    assert (await again.login(person.email)).code == "throttled"


async def test_an_older_hash_is_renewed(browser: Browser, town: Town, owner):
    person = await town.add()
    older = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash(PASSWORD)
    await owner.execute('UPDATE identity."user" SET password_hash = $1 WHERE id = $2', older, person.id)
    assert (await browser.login(person.email)).status == 200
    renewed = await owner.fetchval('SELECT password_hash FROM identity."user" WHERE id = $1', person.id)
    assert renewed != older
    assert not passwords.needs_rehash(renewed)
    assert (await browser.login(person.email)).status == 200


async def test_suspended_people_cannot_sign_in(browser: Browser, town: Town):
    await town.add("owner")
    person = await town.add("agent")
    async with town.resources.database.transaction(town.id) as tx:
        await users.suspend(tx, town.system, person.id)
    answer = await browser.login(person.email)
    assert (answer.status, answer.code) == (401, "account_suspended")
    # Who does not know the password learns nothing of it.
    assert (await browser.login(person.email, "not the password")).code == "invalid_credentials"


async def test_nobody_signs_in_to_a_suspended_tenant(browser: Browser, town: Town):
    person = await town.add()
    async with town.resources.database.transaction(town.id) as tx:
        await tenants.suspend_tenant(tx, town.system)
    assert (await browser.login(person.email)).code == "account_suspended"
    async with town.resources.database.transaction(town.id) as tx:
        await tenants.resume_tenant(tx, town.system)
    assert (await browser.login(person.email)).status == 200


async def test_who_belongs_nowhere_cannot_sign_in(browser: Browser, town: Town):
    await town.add("owner")
    person = await town.add("agent")
    async with town.resources.database.transaction(town.id) as tx:
        await users.remove(tx, town.system, person.id)
    assert (await browser.login(person.email)).code == "account_suspended"


async def test_several_tenants_are_told_apart(browser: Browser, town: Town, other_town: Town, clock: TurnedClock):
    person = await town.add("owner")
    await other_town.admit(person, "analyst")
    for place in (town, other_town):
        clock.turn(minutes=1)
        answer = await browser.login(person.email, tenant=place.slug)
        assert answer.json()["tenant_id"] == str(place.id)
    # Left out, it is the one used last.
    assert (await browser.login(person.email)).json()["tenant_id"] == str(other_town.id)
    assert (await browser.login(person.email, tenant="elsewhere")).code == "not_a_member"


async def test_going_over_to_another_tenant(browser: Browser, town: Town, other_town: Town, clock: TurnedClock):
    person = await town.add("owner")
    await other_town.admit(person, "analyst")
    await browser.login(person.email, tenant=town.slug)
    before = Browser(browser.client, browser.cookie)
    assert {own["id"] for own in (await browser.get("/auth/me")).json()["tenants"]} == {
        str(town.id),
        str(other_town.id),
    }

    answer = await browser.post("/auth/switch", {"tenant_id": str(other_town.id)})
    assert answer.status == 200
    me = (await browser.get("/auth/me")).json()
    assert me["tenant"]["id"] == str(other_town.id)
    assert "users:write" not in me["permissions"]
    clock.turn(seconds=5)
    assert (await before.get("/auth/me")).code == "session_expired"


async def test_nobody_goes_where_they_do_not_belong(browser: Browser, town: Town, other_town: Town):
    person = await town.add("owner")
    await browser.login(person.email)
    answer = await browser.post("/auth/switch", {"tenant_id": str(other_town.id)})
    assert answer.code == "not_a_member"
    assert (await browser.get("/auth/me")).json()["tenant"]["id"] == str(town.id)


async def test_attempts_are_in_the_audit_log(browser: Browser, town: Town):
    person = await town.add("owner")
    await browser.login(person.email, "not the password")
    await browser.login(person.email)
    entries = (await browser.get("/audit", query={"target": str(person.id)})).json()["items"]
    assert [entry["action"] for entry in entries[:2]] == ["user.signed_in", "user.sign_in_failed"]
    assert entries[0]["address"] == browser.client.address
    assert entries[0]["actor_id"] == str(person.id)
    assert entries[0]["request_id"]


@pytest.mark.parametrize(
    "body",
    [
        {"email": "x", "password": "y"},
        {"email": "a@b.c"},
        {"email": "a@b.c", "password": "y", "admin": True},
        {"email": "a@b.c", "password": "y" * 1001},
        {"email": ["a@b.c"], "password": "y"},
    ],
)
async def test_a_malformed_attempt_is_refused(browser: Browser, body: object):
    answer = await browser.post("/auth/login", body)
    assert answer.status in {400, 422}


async def test_the_first_login_of_an_installation(
    worker_resources: Resources, browser: Browser, owner, monkeypatch: pytest.MonkeyPatch
):
    # Other tests have made tenants already, so let it believe there are none, once.
    assert await auth.bootstrap(worker_resources) is None

    async def none_yet(*_: object) -> Page[Tenant]:
        return Page([])

    monkeypatch.setattr(tenants, "list_tenants", none_yet)
    first = await auth.bootstrap(worker_resources, slug="first-of-all", email="First@Example.org")
    assert first is not None
    assert first.password not in repr(first)
    assert first.email == "first@example.org"
    answer = await browser.login(first.email, first.password)
    assert answer.json()["tenant_id"] == str(first.tenant_id)
    me = (await browser.get("/auth/me")).json()
    assert me["user"]["role_name"] == "owner"
    assert me["tenant"]["slug"] == "first-of-all"


async def test_the_operator_lets_a_locked_out_person_in(
    worker_resources: Resources, browser: Browser, town: Town, clock: TurnedClock
):
    person = await town.add("owner")
    await browser.login(person.email)
    password = await auth.reset_password(worker_resources, person.email)
    clock.turn(seconds=5)
    assert (await browser.get("/auth/me")).code == "session_expired"
    assert (await browser.login(person.email)).code == "invalid_credentials"
    assert (await browser.login(person.email, password)).status == 200
    entries = (await browser.get("/audit", query={"action": "user.password_reset"})).json()["items"]
    assert [entry["target"] for entry in entries] == [str(person.id)]
    assert password not in str(entries)
