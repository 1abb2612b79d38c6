"""Sessions: how they end, what they cost, what they show."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from carillon.identity.auth import api as auth
from carillon.identity.roles import api as roles
from carillon.identity.users import api as users
from carillon.kernel.permissions import Permission, compile_permissions
from carillon.storage.resources import Resources

from .conftest import PASSWORD, Browser, Person, Town, TurnedClock

NEW = "a brand new passphrase"


@pytest.fixture
async def person(town: Town, browser: Browser) -> Person:
    """An owner who is signed in."""
    someone = await town.add("owner")
    assert (await browser.login(someone.email)).status == 200
    return someone


async def second_browser(browser: Browser, person: Person, password: str = PASSWORD) -> Browser:
    another = Browser(browser.client)
    assert (await another.login(person.email, password)).status == 200
    return another


async def works(browser: Browser) -> bool:
    answer = await browser.get("/auth/me")
    assert answer.status in {200, 401}
    return answer.status == 200


async def test_signing_out_ends_the_session(browser: Browser, person: Person, clock: TurnedClock):
    stolen = Browser(browser.client, browser.cookie)
    answer = await browser.post("/auth/logout")
    assert answer.status == 204
    assert 'carillon=""' in answer.headers["set-cookie"]
    clock.turn(seconds=5)
    assert (await stolen.get("/auth/me")).code == "session_expired"


@pytest.mark.parametrize("cookie", ["carillon=", "other=x", None])
async def test_without_a_cookie_nobody_is_anybody(browser: Browser, cookie: str | None):
    browser.cookie = cookie
    answer = await browser.get("/auth/me")
    assert (answer.status, answer.code) == (401, "unauthenticated")


@pytest.mark.parametrize("mangle", ["x", "cs_", "ck_{rest}", "{token}x", "{other}"])
async def test_a_mangled_cookie_is_refused(browser: Browser, person: Person, town: Town, mangle: str):
    token = browser.token
    other = token[:-1] + ("A" if token[-1] != "A" else "B")
    browser.cookie = "carillon=" + mangle.format(rest=token[3:], token=token, other=other)
    answer = await browser.get("/auth/me")
    assert answer.status == 401
    assert answer.code == ("session_expired" if mangle == "{other}" else "invalid_credentials")


async def test_a_session_is_worthless_under_another_tenant(
    browser: Browser, person: Person, town: Town, other_town: Town
):
    browser.cookie = f"carillon={browser.token.replace(town.id.hex, other_town.id.hex)}"
    assert (await browser.get("/auth/me")).code == "session_expired"


async def test_an_idle_session_ends(browser: Browser, person: Person, clock: TurnedClock):
    for _ in range(3):
        clock.turn(days=2)
        assert await works(browser)
    clock.turn(days=3)
    assert not await works(browser)


async def test_a_session_ends_however_much_it_is_used(browser: Browser, person: Person, clock: TurnedClock):
    for _ in range(14):
        clock.turn(days=2)
        assert await works(browser)
    clock.turn(days=2)
    assert not await works(browser)


async def test_use_is_noted_once_a_minute(browser: Browser, person: Person, clock: TurnedClock, owner):
    async def seen() -> Any:
        return await owner.fetchval("SELECT last_seen_at FROM identity.session WHERE user_id = $1", person.id)

    opened_at = clock.now()
    clock.turn(seconds=50)
    assert await works(browser)
    assert await seen() == opened_at
    clock.turn(seconds=50)
    assert await works(browser)
    assert await seen() == clock.now()


async def test_many_requests_cost_one_query(browser: Browser, person: Person, app, resources: Resources, clock):
    statements: list[str] = []

    def note(_connection, _cursor, statement, *_rest):
        statements.append(statement)

    clock.turn(seconds=5)
    authenticator = app.state.admission.authenticator
    engine = resources.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    request = FakeRequest(browser)
    for _ in range(20):
        subject = await authenticator.authenticate(request)
    event.remove(engine, "before_cursor_execute", note)
    assert subject.id == person.id
    queries = [statement for statement in statements if "set_config" not in statement]
    assert len(queries) == 1
    assert "identity.session" in queries[0]


class FakeRequest:
    """As much of a request as authentication looks at."""

    client = None

    class state:  # noqa: N801
        request_id = "r"

    def __init__(self, browser: Browser, **headers: str) -> None:
        name, _, value = (browser.cookie or "=").partition("=")
        self.cookies = {name: value}
        self.headers = headers


async def test_the_memory_of_credentials_is_bounded(
    browser: Browser, person: Person, resources: Resources, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("carillon.identity.auth.authenticator._MOST_REMEMBERED", 2)
    authenticator = auth.IdentityAuthenticator(resources)
    for _ in range(4):
        one = await second_browser(browser, person)
        await authenticator.authenticate(FakeRequest(one))  # type: ignore[arg-type]
    assert len(authenticator._remembered) == 2
    assert not any(one.token.encode() in key for key in authenticator._remembered)


async def test_own_sessions_are_listed_and_ended(browser: Browser, person: Person, town: Town, clock: TurnedClock):
    stranger = await second_browser(browser, await town.add("owner"))
    another = await second_browser(browser, person)
    listed = (await browser.get("/auth/sessions")).json()["items"]
    assert [item["current"] for item in listed] == [False, True]
    assert listed[0]["user_agent"] == "Test/1"
    assert listed[0]["address"] == browser.client.address
    assert another.token not in str(listed)

    assert (await stranger.call("DELETE", f"/auth/sessions/{listed[0]['id']}")).code == "session_not_found"
    assert await works(another)
    assert (await browser.call("DELETE", f"/auth/sessions/{listed[0]['id']}")).status == 204
    clock.turn(seconds=5)
    assert not await works(another)
    assert await works(browser)


async def test_sessions_are_paged(browser: Browser, person: Person):
    for _ in range(3):
        await second_browser(browser, person)
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await browser.get("/auth/sessions", query=query)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 4
    assert (await browser.get("/auth/sessions", query={"cursor": "nonsense"})).code == "bad_cursor"


async def test_ending_the_others_reaches_every_tenant(
    browser: Browser, person: Person, town: Town, other_town: Town, clock: TurnedClock
):
    await other_town.admit(person)
    here = await second_browser(browser, person)
    there = Browser(browser.client)
    assert (await there.login(person.email, tenant=other_town.slug)).status == 200
    assert (await browser.post("/auth/sessions/end-others")).status == 204
    clock.turn(seconds=5)
    assert [await works(one) for one in (browser, here, there)] == [True, False, False]


async def test_a_new_password_ends_the_other_sessions(
    browser: Browser, person: Person, town: Town, other_town: Town, clock: TurnedClock
):
    await other_town.admit(person)
    here = await second_browser(browser, person)
    there = Browser(browser.client)
    await there.login(person.email, tenant=other_town.slug)
    change = {"current": PASSWORD, "new": NEW}
    assert (await browser.post("/auth/password", change)).status == 204
    clock.turn(seconds=5)
    assert [await works(one) for one in (browser, here, there)] == [True, False, False]
    assert (await here.login(person.email)).code == "invalid_credentials"
    assert (await here.login(person.email, NEW)).status == 200


@pytest.mark.parametrize(
    ("current", "new", "code"),
    [
        ("wrong", NEW, "password_wrong"),
        (PASSWORD, "short", "password_too_weak"),
        (PASSWORD, PASSWORD, "password_too_weak"),
    ],
)
async def test_a_password_is_not_changed_lightly(browser: Browser, person: Person, current: str, new: str, code: str):
    assert (await browser.post("/auth/password", {"current": current, "new": new})).code == code
    await second_browser(browser, person)


async def test_guessing_the_password_in_a_stolen_session_is_slow(browser: Browser, person: Person):
    for _ in range(5):
        change = {"current": "wrong", "new": NEW}
        assert (await browser.post("/auth/password", change)).code == "password_wrong"
    assert (await browser.post("/auth/password", {"current": PASSWORD, "new": NEW})).code == "throttled"


@pytest.mark.parametrize("what", ["suspended", "removed", "tenant suspended", "demoted"])
async def test_whatever_is_decided_counts_within_5_seconds(
    browser: Browser, person: Person, town: Town, clock: TurnedClock, what: str
):
    from carillon.identity.tenants import api as tenants

    await town.add("owner")
    assert (await browser.get("/audit")).status == 200
    async with town.resources.database.transaction(town.id) as tx:
        if what == "suspended":
            await users.suspend(tx, town.system, person.id)
        elif what == "removed":
            await users.remove(tx, town.system, person.id)
        elif what == "tenant suspended":
            await tenants.suspend_tenant(tx, town.system)
        else:
            await users.change_role(tx, town.system, person.id, (await roles.builtin_role(tx, "analyst")).id)
    clock.turn(seconds=5)
    expected = {
        "suspended": "account_suspended",
        "removed": "session_expired",
        "tenant suspended": "tenant_suspended",
        "demoted": "missing_permission",
    }
    assert (await browser.get("/audit")).code == expected[what]


async def test_an_edited_role_counts_within_5_seconds(browser: Browser, town: Town, clock: TurnedClock):
    person = await town.add("agent")
    async with town.resources.database.transaction(town.id) as tx:
        mask = compile_permissions([Permission.AUDIT_READ])
        role = await roles.create_role(tx, town.system, name="Auditor", mask=mask)
        await users.change_role(tx, town.system, person.id, role.id)
    await browser.login(person.email)
    assert (await browser.get("/audit")).status == 200
    async with town.resources.database.transaction(town.id) as tx:
        await roles.update_role(tx, town.system, role.id, mask=0)
    clock.turn(seconds=5)
    assert (await browser.get("/audit")).code == "missing_permission"


async def test_open_screens_are_reviewed_without_counting_as_use(
    browser: Browser, person: Person, town: Town, app, clock: TurnedClock, owner
):
    authenticator = app.state.admission.authenticator
    subject = await authenticator.authenticate(FakeRequest(browser))
    clock.turn(hours=1)
    assert await authenticator.review(subject) == subject
    seen = await owner.fetchval("SELECT last_seen_at FROM identity.session WHERE user_id = $1", person.id)
    assert seen < clock.now()
    assert await authenticator.review(replace(subject, credential_id=None)) is None
    assert await authenticator.review(town.system) == town.system
    await browser.post("/auth/logout")
    assert await authenticator.review(subject) is None


async def test_the_profile_is_ones_own(browser: Browser, person: Person):
    good = {"name": "Maria", "language": "zh-CN", "time_zone": "Asia/Shanghai"}
    assert (await browser.call("PUT", "/auth/me", good)).json()["time_zone"] == "Asia/Shanghai"
    assert (await browser.call("PUT", "/auth/me", good | {"time_zone": "Mars"})).code == "profile_invalid"
    assert (await browser.call("PUT", "/auth/me", good | {"language": "klingon"})).code == "profile_invalid"
    assert (await browser.call("PUT", "/auth/me", good | {"name": "a\u202eb"})).status == 422
    assert (await browser.get("/auth/me")).json()["user"]["name"] == "Maria"


async def test_ended_sessions_are_purged(
    browser: Browser, person: Person, town: Town, worker_resources: Resources, clock: TurnedClock, owner
):
    idle = await second_browser(browser, person)
    clock.turn(days=2)
    assert await works(browser)
    clock.turn(days=2)
    await auth.purge_sessions(replace(worker_resources, clock=clock))
    left = await owner.fetch("SELECT id FROM identity.session WHERE user_id = $1", person.id)
    assert len(left) == 1
    assert await works(browser)
    assert not await works(idle)


async def test_requests_at_once_note_the_use_once(browser: Browser, person: Person, clock: TurnedClock, app):
    clock.turn(minutes=2)
    answers = await asyncio.gather(*(browser.get("/auth/me") for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
