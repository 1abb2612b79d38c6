"""Members, invitations, roles: who decides over whom, and that an owner remains."""

import asyncio
from dataclasses import replace

import pytest

from carillon.identity.roles import api as roles
from carillon.identity.roles.errors import PermissionEscalation
from carillon.identity.users import api as users
from carillon.identity.users.errors import LastOwner
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import ALL_PERMISSIONS
from carillon.storage.resources import Resources

from .conftest import PASSWORD, Browser, Person, Town, TurnedClock


@pytest.fixture
async def boss(town: Town, browser: Browser) -> Person:
    someone = await town.add("owner")
    await browser.login(someone.email)
    return someone


async def signed_in(browser: Browser, person: Person) -> Browser:
    another = Browser(browser.client)
    assert (await another.login(person.email)).status == 200
    return another


async def invite(browser: Browser, town: Town, email: str, role: str = "agent") -> str:
    answer = await browser.post("/users/invitations", {"email": email, "role_id": str(await town.role_id(role))})
    assert answer.status == 201, answer.json()
    return str(answer.json()["token"])


def accept(browser: Browser, token: str, password: str = "my very own words", **more: object):
    return browser.post("/auth/invitations/accept", {"token": token, "password": password, **more})


# Members


async def test_members_are_listed_searched_and_paged(browser: Browser, town: Town, boss: Person, other_town: Town):
    for name in ("anna", "bert", "100%_wild"):
        await town.add("agent", f"{name}-{uuid7().hex[-6:]}@example.org")
    await other_town.add("agent", f"anna-{uuid7().hex[-6:]}@example.org")
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await browser.get("/users", query=query)).json()
        seen += [item["email"].split("-")[0] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen[:3] == ["100%_wild", "bert", "anna"]
    assert len(seen) == 4

    async def found(**query: str) -> list[str]:
        items = (await browser.get("/users", query=query)).json()["items"]
        return [item["email"].split("-")[0] for item in items]

    assert await found(search="ANN") == ["anna"]
    assert await found(search="%_") == ["100%_wild"]
    assert await found(search="' OR 1=1") == []
    assert len(await found(role_id=str(await town.role_id("agent")))) == 3
    assert await found(state="suspended") == []


async def test_a_role_is_changed(browser: Browser, town: Town, boss: Person):
    person = await town.add("agent")
    answer = await browser.call("PATCH", f"/users/{person.id}", {"role_id": str(await town.role_id("analyst"))})
    assert answer.json()["role_name"] == "analyst"
    answer = await browser.call("PATCH", f"/users/{person.id}", {"role_id": str(uuid7())})
    assert answer.code == "role_not_found"
    answer = await browser.call("PATCH", f"/users/{uuid7()}", {"role_id": str(await town.role_id("analyst"))})
    assert answer.code == "user_not_found"


async def test_the_last_owner_stays(browser: Browser, town: Town, boss: Person):
    admin_role = str(await town.role_id("admin"))
    assert (await browser.call("PATCH", f"/users/{boss.id}", {"role_id": admin_role})).code == "last_owner"
    assert (await browser.post(f"/users/{boss.id}/suspend")).code == "last_owner"
    assert (await browser.call("DELETE", f"/users/{boss.id}")).code == "last_owner"
    # A suspended owner is none.
    second = await town.add("owner")
    assert (await browser.post(f"/users/{second.id}/suspend")).status == 200
    assert (await browser.call("DELETE", f"/users/{boss.id}")).code == "last_owner"
    assert (await browser.post(f"/users/{second.id}/resume")).status == 200
    assert (await browser.call("DELETE", f"/users/{boss.id}")).status == 204


async def test_two_owners_cannot_remove_each_other_at_once(town: Town):
    first, second = await town.add("owner"), await town.add("owner")

    async def remove(person: Person) -> bool:
        try:
            async with town.resources.database.transaction(town.id) as tx:
                await users.remove(tx, town.system, person.id)
        except LastOwner:
            return False
        return True

    assert sorted(await asyncio.gather(remove(first), remove(second))) == [False, True]


async def test_an_admin_has_no_say_over_an_owner(browser: Browser, town: Town, boss: Person):
    admin = await signed_in(browser, await town.add("admin"))
    await town.add("owner")
    owner_role = str(await town.role_id("owner"))
    agent = await town.add("agent")
    agent_role = str(await town.role_id("agent"))
    refused = [
        await admin.call("PATCH", f"/users/{agent.id}", {"role_id": owner_role}),
        await admin.call("PATCH", f"/users/{boss.id}", {"role_id": agent_role}),
        await admin.post(f"/users/{boss.id}/suspend"),
        await admin.post(f"/users/{boss.id}/resume"),
        await admin.call("DELETE", f"/users/{boss.id}"),
        await admin.post("/users/invitations", {"email": "new@example.org", "role_id": owner_role}),
    ]
    assert [answer.code for answer in refused] == ["permission_escalation"] * 6
    assert refused[0].json()["data"] == {"missing": ["tenant:write"]}
    assert (await admin.post(f"/users/{agent.id}/suspend")).json()["state"] == "suspended"


async def test_a_removed_person_keeps_their_other_tenants(
    browser: Browser, town: Town, boss: Person, other_town: Town, clock: TurnedClock
):
    person = await town.add("agent")
    await other_town.admit(person)
    there = Browser(browser.client)
    await there.login(person.email, tenant=other_town.slug)
    assert (await browser.call("DELETE", f"/users/{person.id}")).status == 204
    assert (await browser.get(f"/users/{person.id}")).code == "user_not_found"
    clock.turn(seconds=5)
    assert (await there.get("/auth/me")).status == 200


async def test_people_who_belong_nowhere_are_forgotten_after_a_while(
    town: Town, worker_resources: Resources, clock: TurnedClock, owner
):
    kept, gone = await town.add("owner"), await town.add("agent")
    async with town.resources.database.transaction(town.id) as tx:
        await users.remove(tx, town.system, gone.id)
    later = replace(worker_resources, clock=clock)

    async def exist() -> list[bool]:
        return [
            bool(await owner.fetchval('SELECT 1 FROM identity."user" WHERE id = $1', one.id)) for one in (kept, gone)
        ]

    clock.turn(days=29)
    await users.purge_orphans(later)
    assert await exist() == [True, True]
    clock.turn(days=2)
    await users.purge_orphans(later)
    assert await exist() == [True, False]


# Invitations


async def test_a_new_person_joins_by_invitation(browser: Browser, town: Town, boss: Person):
    email = f"new-{uuid7().hex[-6:]}@example.org"
    token = await invite(browser, town, email.upper())
    assert (await browser.get("/users/invitations")).json()["items"][0]["email"] == email
    guest = Browser(browser.client)
    preview = await guest.post("/auth/invitations/read", {"token": token})
    assert preview.json() == {"tenant_name": "Town", "email": email, "role_name": "agent", "has_account": False}
    answer = await accept(guest, token, name="New Person")
    assert answer.status == 200
    me = (await guest.get("/auth/me")).json()
    assert (me["user"]["name"], me["user"]["role_name"]) == ("New Person", "agent")
    assert (await guest.login(email, "my very own words")).status == 200
    assert (await browser.get("/users/invitations")).json()["items"] == []
    # A link works once.
    assert (await accept(guest, token)).code == "invitation_invalid"
    actions = [entry["action"] for entry in (await browser.get("/audit")).json()["items"]]
    assert actions[:4] == ["user.signed_in", "user.signed_in", "user.joined", "user.invited"]


async def test_who_has_an_account_proves_it(browser: Browser, town: Town, boss: Person, other_town: Town):
    person = await other_town.add("owner")
    token = await invite(browser, town, person.email)
    guest = Browser(browser.client)
    assert (await guest.post("/auth/invitations/read", {"token": token})).json()["has_account"] is True
    # The inviter, who has the link too, cannot take the account over.
    assert (await accept(guest, token, "a password of the inviter")).code == "invalid_credentials"
    assert (await browser.get("/users", query={"search": person.email})).json()["items"] == []
    assert (await accept(guest, token, PASSWORD)).status == 200
    me = (await guest.get("/auth/me")).json()
    assert me["tenant"]["id"] == str(town.id)
    assert len(me["tenants"]) == 2


async def test_accepting_asks_for_the_second_factor_too(
    browser: Browser, town: Town, boss: Person, other_town: Town, clock: TurnedClock
):
    import pyotp

    person = await other_town.add("owner")
    theirs = Browser(browser.client)
    await theirs.login(person.email)
    enrolment = (await theirs.post("/auth/totp", {"password": PASSWORD})).json()
    app = pyotp.TOTP(enrolment["secret"])
    await theirs.post("/auth/totp/confirm", {"code": app.at(clock.now())})
    clock.turn(minutes=1)
    token = await invite(browser, town, person.email)
    guest = Browser(browser.client)
    assert (await accept(guest, token, PASSWORD)).code == "second_factor_required"
    assert (await browser.get("/users", query={"search": person.email})).json()["items"] == []
    assert (await accept(guest, token, PASSWORD, code=app.at(clock.now()))).status == 200


async def test_a_weak_password_does_not_use_the_invitation_up(browser: Browser, town: Town, boss: Person):
    token = await invite(browser, town, f"weak-{uuid7().hex[-6:]}@example.org")
    guest = Browser(browser.client)
    assert (await accept(guest, token, "short")).code == "password_too_weak"
    assert (await accept(guest, token)).status == 200


async def test_a_link_used_twice_at_once_works_once(browser: Browser, town: Town, boss: Person):
    token = await invite(browser, town, f"twice-{uuid7().hex[-6:]}@example.org")
    answers = await asyncio.gather(*(accept(Browser(browser.client), token) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [200, 400]


async def test_invitations_end(browser: Browser, town: Town, boss: Person, clock: TurnedClock, worker_resources):
    email = f"late-{uuid7().hex[-6:]}@example.org"
    first = await invite(browser, town, email)
    second = await invite(browser, town, email)
    guest = Browser(browser.client)
    assert (await accept(guest, first)).code == "invitation_invalid"
    listed = (await browser.get("/users/invitations")).json()["items"]
    assert len(listed) == 1
    assert (await browser.call("DELETE", f"/users/invitations/{listed[0]['id']}")).status == 204
    assert (await browser.call("DELETE", f"/users/invitations/{listed[0]['id']}")).code == "invitation_not_found"
    assert (await accept(guest, second)).code == "invitation_invalid"
    third = await invite(browser, town, email)
    clock.turn(days=7)
    assert (await accept(guest, third)).code == "invitation_invalid"
    clock.turn(days=8)
    assert await users.purge_invitations(replace(worker_resources, clock=clock)) >= 1


@pytest.mark.parametrize("token", ["", "ci_x", "cs_" + "0" * 32 + "_" + "0" * 32 + "_" + "A" * 43])
async def test_what_is_no_invitation_is_refused(browser: Browser, token: str):
    assert (await accept(browser, token)).code == "invitation_invalid"
    assert (await browser.post("/auth/invitations/read", {"token": token})).code == "invitation_invalid"


async def test_a_forged_invitation_is_refused(browser: Browser, town: Town, boss: Person, other_town: Town):
    token = await invite(browser, town, f"forged-{uuid7().hex[-6:]}@example.org", "owner")
    moved = token.replace(town.id.hex, other_town.id.hex)
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    for forged in (moved, changed):
        assert (await accept(Browser(browser.client), forged)).code == "invitation_invalid"


async def test_members_are_not_invited_again(browser: Browser, town: Town, boss: Person):
    body = {"email": boss.email, "role_id": str(await town.role_id("agent"))}
    assert (await browser.post("/users/invitations", body)).code == "already_member"
    assert (await browser.post("/users/invitations", body | {"email": "no address"})).code == "email_invalid"


# Roles


async def test_a_tenant_defines_its_own_roles(browser: Browser, town: Town, boss: Person):
    listed = (await browser.get("/roles")).json()
    assert [role["name"] for role in listed["items"]] == list(roles.BUILTIN_ROLES)
    body = {"name": "Night shift", "permissions": ["conversations:read", "messages:send"]}
    role = (await browser.post("/roles", body)).json()
    assert role["permissions"] == ["conversations:read", "messages:send"]
    assert (await browser.post("/roles", body | {"name": "NIGHT shift"})).code == "role_exists"
    assert (await browser.post("/roles", body | {"name": "Owner"})).code == "role_exists"
    assert (await browser.post("/roles", body | {"permissions": ["sky:fly"]})).code == "unknown_permission"

    path = f"/roles/{role['id']}"
    changed = (await browser.call("PATCH", path, {"permissions": ["messages:send"], "description": "22–6"})).json()
    assert (changed["name"], changed["permissions"]) == ("Night shift", ["messages:send"])
    person = await town.add("agent")
    await browser.call("PATCH", f"/users/{person.id}", {"role_id": role["id"]})
    assert (await browser.call("DELETE", path)).code == "role_in_use"
    await browser.call("PATCH", f"/users/{person.id}", {"role_id": str(await town.role_id("agent"))})
    assert (await browser.call("DELETE", path)).status == 204
    assert (await browser.get(path)).code == "role_not_found"


async def test_built_in_roles_stay(browser: Browser, town: Town, boss: Person):
    path = f"/roles/{await town.role_id('agent')}"
    assert (await browser.call("PATCH", path, {"permissions": []})).code == "role_builtin"
    assert (await browser.call("DELETE", path)).code == "role_builtin"


async def test_nobody_defines_a_mightier_role(browser: Browser, town: Town, boss: Person):
    admin = await signed_in(browser, await town.add("admin"))
    body = {"name": "Coup", "permissions": ["tenant:write"]}
    assert (await admin.post("/roles", body)).code == "permission_escalation"
    mighty = (await browser.post("/roles", body)).json()["id"]
    weak = (await admin.post("/roles", {"name": "Weak", "permissions": []})).json()["id"]
    refused = [
        await admin.call("PATCH", f"/roles/{weak}", {"permissions": ["tenant:write"]}),
        await admin.call("PATCH", f"/roles/{mighty}", {"permissions": []}),
        await admin.call("DELETE", f"/roles/{mighty}"),
    ]
    assert [answer.code for answer in refused] == ["permission_escalation"] * 3


async def test_bits_beyond_63_are_stored(town: Town):
    from carillon.identity.roles import repository

    wide = 1 << 200 | 1 << 64 | 1
    role_id = uuid7()
    async with town.resources.database.transaction(town.id) as tx:
        await repository.insert(tx, role_id, "Wide", "", wide)
        stored = await tx.scalar("SELECT permissions FROM identity.role WHERE id = :id", {"id": role_id})
        assert int(stored) == wide
        assert (await roles.get_role(tx, role_id)).mask == wide & ALL_PERMISSIONS


async def test_the_check_holds_below_the_endpoints_too(town: Town):
    await town.add("owner")
    admin = town.subject(await town.add("admin"), "admin")
    agent = await town.add("agent")
    async with town.resources.database.transaction(town.id) as tx:
        owner_role = await roles.builtin_role(tx, "owner")
        with pytest.raises(PermissionEscalation):
            await users.change_role(tx, admin, agent.id, owner_role.id)


# The tenant


async def test_settings_are_checked(browser: Browser, town: Town, boss: Person):
    good = {"name": "Bells & Co", "time_zone": "Europe/Berlin", "language": "de", "region": "DE"}
    answer = await browser.call("PUT", "/tenant", good)
    assert answer.status == 200
    assert answer.json()["slug"] == town.slug
    for field, value, code in [
        ("time_zone", "Mars/Base", "time_zone_unknown"),
        ("language", "german", "language_invalid"),
        ("region", "xx", "region_unknown"),
    ]:
        assert (await browser.call("PUT", "/tenant", good | {field: value})).code == code
    assert (await browser.call("PUT", "/tenant", good | {"slug": "other"})).code == "invalid_fields"
    assert (await browser.get("/tenant")).json()["region"] == "DE"
    entry = (await browser.get("/audit", query={"action": "tenant.changed"})).json()["items"][0]
    assert entry["details"]["time_zone"] == ["UTC", "Europe/Berlin"]


async def test_an_admin_cannot_change_the_tenant(browser: Browser, town: Town):
    admin = await signed_in(browser, await town.add("admin"))
    body = {"name": "Mine", "time_zone": "UTC", "language": "en"}
    assert (await admin.call("PUT", "/tenant", body)).code == "missing_permission"
