"""API keys: what they may, how they end, and which credential counts."""

from datetime import timedelta
from typing import Any

import pytest

from carillon.identity.roles import api as roles
from carillon.identity.users import api as users
from carillon.kernel.ids import uuid7

from .conftest import Browser, Person, Town, TurnedClock


@pytest.fixture
async def boss(town: Town, browser: Browser) -> Person:
    someone = await town.add("owner")
    await browser.login(someone.email)
    return someone


async def make_key(browser: Browser, *permissions: str, **more: Any) -> dict[str, Any]:
    answer = await browser.post("/api-keys", {"name": "Key", "permissions": list(permissions), **more})
    assert answer.status == 201, answer.json()
    made: dict[str, Any] = answer.json()
    return made


def program(browser: Browser, key: str) -> Browser:
    return Browser(browser.client.having(authorization=f"Bearer {key}"))


async def test_a_key_acts_within_its_permissions(browser: Browser, boss: Person, town: Town):
    made = await make_key(browser, "users:read")
    assert made["key"].startswith(f"ck_{town.id.hex}_")
    client = program(browser, made["key"])
    assert (await client.get("/users")).status == 200
    assert (await client.get("/audit")).code == "missing_permission"
    me = (await client.get("/auth/me")).json()
    assert (me["kind"], me["permissions"], me["user"]) == ("api_key", ["users:read"], None)
    assert me["credential_id"] == made["api_key"]["id"]


async def test_the_text_is_shown_once(browser: Browser, boss: Person):
    made = await make_key(browser, "users:read")
    for path in ("/api-keys", f"/api-keys/{made['api_key']['id']}", "/audit"):
        assert made["key"] not in (await browser.get(path)).body.decode()
        assert made["key"].rpartition("_")[2] not in (await browser.get(path)).body.decode()


async def test_no_name_passes_for_another(browser: Browser, boss: Person):
    for path in ("/api-keys", "/roles"):
        answer = await browser.post(path, {"name": "a\u202eb", "permissions": ["users:read"]})
        assert (answer.status, answer.json()["place"]) == (422, "body.name")


async def test_nobody_makes_a_mightier_key(browser: Browser, town: Town, boss: Person):
    admin = Browser(browser.client)
    await admin.login((await town.add("admin")).email)
    body = {"name": "Key", "permissions": ["tenant:write"]}
    assert (await admin.post("/api-keys", body)).code == "permission_escalation"
    assert (await browser.post("/api-keys", body | {"permissions": ["sky:fly"]})).code == "unknown_permission"
    # Neither does a key.
    client = program(browser, (await make_key(browser, "api_keys:write", "users:read"))["key"])
    assert (await client.post("/api-keys", body)).code == "permission_escalation"
    child = await make_key(client, "users:read")
    assert child["api_key"]["created_by"] == str(boss.id)


async def test_revocation_counts_within_5_seconds(browser: Browser, boss: Person, clock: TurnedClock):
    made = await make_key(browser, "users:read")
    client = program(browser, made["key"])
    assert (await client.get("/users")).status == 200
    path = f"/api-keys/{made['api_key']['id']}"
    assert (await browser.call("DELETE", path)).status == 204
    clock.turn(seconds=5)
    answer = await client.get("/users")
    assert (answer.status, answer.code) == (401, "key_revoked")
    # It stays in the list, and revoking again changes nothing.
    revoked_at = (await browser.get(path)).json()["revoked_at"]
    clock.turn(seconds=5)
    assert (await browser.call("DELETE", path)).status == 204
    assert (await browser.get(path)).json()["revoked_at"] == revoked_at


async def test_a_key_expires(browser: Browser, boss: Person, clock: TurnedClock):
    past = (clock.now() - timedelta(seconds=1)).isoformat()
    body = {"name": "Key", "permissions": ["users:read"]}
    assert (await browser.post("/api-keys", body | {"expires_at": past})).code == "expiry_past"
    assert (await browser.post("/api-keys", body | {"expires_at": "2030-01-01T00:00:00"})).status == 422
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    client = program(browser, (await make_key(browser, "users:read", expires_at=tomorrow))["key"])
    assert (await client.get("/users")).status == 200
    clock.turn(days=1)
    assert (await client.get("/users")).code == "key_expired"


async def test_a_key_is_no_mightier_than_its_maker_is_now(
    browser: Browser, town: Town, boss: Person, clock: TurnedClock
):
    maker = await town.add("admin")
    theirs = Browser(browser.client)
    await theirs.login(maker.email)
    client = program(browser, (await make_key(theirs, "users:read", "audit:read"))["key"])
    assert (await client.get("/audit")).status == 200
    async with town.resources.database.transaction(town.id) as tx:
        await users.change_role(tx, town.system, maker.id, (await roles.builtin_role(tx, "agent")).id)
    clock.turn(seconds=5)
    assert (await client.get("/audit")).code == "missing_permission"
    assert (await client.get("/users")).status == 200
    async with town.resources.database.transaction(town.id) as tx:
        await users.suspend(tx, town.system, maker.id)
    clock.turn(seconds=5)
    assert (await client.get("/users")).code == "key_revoked"
    async with town.resources.database.transaction(town.id) as tx:
        await users.remove(tx, town.system, maker.id)
    clock.turn(seconds=5)
    assert (await client.get("/users")).code == "key_revoked"


async def test_use_is_noted_once_a_minute(browser: Browser, boss: Person, clock: TurnedClock):
    made = await make_key(browser, "users:read")
    client = program(browser, made["key"])

    async def last_used() -> str | None:
        clock.turn(seconds=5)
        await client.get("/users")
        item = (await browser.get(f"/api-keys/{made['api_key']['id']}")).json()
        used: str | None = item["last_used_at"]
        return used

    first = await last_used()
    assert first is not None
    assert await last_used() == first
    clock.turn(minutes=1)
    assert await last_used() > first  # type: ignore[operator]


async def test_keys_are_renamed_and_paged(browser: Browser, boss: Person):
    made = [(await make_key(browser, "users:read"))["api_key"]["id"] for _ in range(3)]
    path = f"/api-keys/{made[0]}"
    assert (await browser.call("PATCH", path, {"name": " Warehouse "})).json()["name"] == "Warehouse"
    assert (await browser.call("PATCH", path, {"permissions": ["audit:read"]})).code == "invalid_fields"
    first = (await browser.get("/api-keys", query={"limit": 2})).json()
    second = (await browser.get("/api-keys", query={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert (await browser.get(f"/api-keys/{uuid7()}")).code == "api_key_not_found"


async def test_a_bearer_wins_over_a_cookie(browser: Browser, boss: Person):
    made = await make_key(browser, "users:read")
    both = Browser(browser.client.having(authorization=f"Bearer {made['key']}"), browser.cookie)
    assert (await both.get("/auth/me")).json()["kind"] == "api_key"
    bad = Browser(browser.client.having(authorization="Bearer nonsense"), browser.cookie)
    assert (await bad.get("/auth/me")).code == "invalid_credentials"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer {session}", "Bearer {key}x", "{key}"])
async def test_what_is_no_key_is_refused(browser: Browser, boss: Person, header: str):
    key = (await make_key(browser, "users:read"))["key"]
    value = header.format(session=browser.token, key=key)
    answer = await Browser(browser.client.having(authorization=value)).get("/users")
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_wrong_secret_is_refused_and_is_no_use(browser: Browser, boss: Person):
    made = await make_key(browser, "users:read")
    wrong = made["key"][:-1] + ("A" if made["key"][-1] != "A" else "B")
    assert (await program(browser, wrong).get("/users")).code == "invalid_credentials"
    assert (await browser.get(f"/api-keys/{made['api_key']['id']}")).json()["last_used_at"] is None


async def test_a_key_has_no_personal_account(browser: Browser, boss: Person):
    client = program(browser, (await make_key(browser, "users:read"))["key"])
    word = {"password": "x"}
    answers = [
        await client.post("/auth/logout"),
        await client.get("/auth/sessions"),
        await client.post("/auth/totp", word),
        await client.get("/auth/totp"),
        await client.post("/auth/password", {"current": "x", "new": "y"}),
        await client.post("/auth/switch", {"tenant_id": str(uuid7())}),
        await client.post("/auth/sessions/end-others"),
        await client.call("PUT", "/auth/me", {"name": "Robot"}),
    ]
    assert [answer.code for answer in answers] == ["users_only"] * len(answers)


async def test_a_review_tells_the_present_permissions(browser: Browser, boss: Person, app, town: Town):
    from carillon.identity.api_keys import api as api_keys

    made = await make_key(browser, "users:read")
    client = program(browser, made["key"])
    await client.get("/users")
    authenticator = app.state.admission.authenticator
    subject = next(iter(authenticator._remembered.values())).standing.subject
    subjects = [one.standing.subject for one in authenticator._remembered.values()]
    subject = next(one for one in subjects if str(one.credential_id) == made["api_key"]["id"])
    assert await authenticator.review(subject) == subject
    async with town.resources.database.transaction(town.id) as tx:
        await api_keys.revoke_key(tx, town.system, subject.credential_id, town.resources.clock.now())
    assert await authenticator.review(subject) is None
