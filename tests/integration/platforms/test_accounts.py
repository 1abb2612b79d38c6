"""The account pool over a real database: HTTP, states, secrets, bulk actions, counts, isolation."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import event

from carillon.events.catalog.platforms import InboundReceived, MessageChanged
from carillon.events.consumer import Recorded
from carillon.gateway.app import create_app
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.kernel.permissions import Permission, compile_permissions
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api
from carillon.platforms.accounts.contracts import AccountEdit, BulkKind
from carillon.platforms.accounts.errors import AccountStopped, AddressTaken, AlreadyUndone, BadAccount
from carillon.platforms.accounts.manifest import manifest
from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures.api import Client, FakeAuthenticator
from tests.fixtures.database import VAULT

Owner = Any


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def authenticator() -> FakeAuthenticator:
    return FakeAuthenticator()


@pytest.fixture
def anyone(app_resources: Resources, authenticator: FakeAuthenticator) -> Client:
    return Client(create_app([manifest], app_resources, authenticator))


@pytest.fixture
def client(anyone: Client, authenticator: FakeAuthenticator, tenant: UUID) -> Client:
    return anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}")


def new(number: int = 1, **values: Any) -> api.NewAccount:
    return api.NewAccount(
        **{"connector": "simulator_telegram", "name": f"Bell {number}", "address": f"@bell_{number}", **values}
    )


async def make(database: Database, tenant: UUID, *accounts: api.NewAccount) -> list[UUID]:
    async with database.transaction(tenant) as tx:
        return [(await api.create(tx, VAULT, system_subject(tenant), one)).id for one in accounts]


async def state_of(database: Database, tenant: UUID, account_id: UUID) -> AccountState:
    async with database.transaction(tenant) as tx:
        return (await api.get(tx, account_id)).state


async def turn(database: Database, tenant: UUID, account_id: UUID, state: AccountState, **values: Any) -> None:
    async with database.transaction(tenant) as tx:
        await api.change_state(tx, account_id, state, "as the platform says", **values)


async def test_an_account_is_added_read_and_never_tells_its_secret(
    client: Client, app_database: Database, tenant: UUID
) -> None:
    body = {
        "connector": "simulator_telegram",
        "name": " 钟楼 ",
        "address": "@tower",
        "secret": "hunter2-secret",
        "labels": ["vip", "vip", "east"],
        "settings": {"daily_unique": 100},
    }
    answer = await client.post("/api/v1/accounts", json=body)
    assert answer.status == 201, answer.body
    made = answer.json()
    assert (made["name"], made["platform"], made["state"]) == ("钟楼", "telegram", "new")
    assert made["labels"] == ["vip", "east"]
    assert made["explanation"]["code"] == "waiting"
    assert made["today"]["left"] == 100
    read = await client.get(f"/api/v1/accounts/{made['id']}")
    listed = await client.get("/api/v1/accounts")
    timeline = await client.get(f"/api/v1/accounts/{made['id']}/timeline")
    assert [entry["type"] for entry in timeline.json()["items"]] == ["account.created"]
    for seen in (answer, read, listed, timeline):
        assert b"hunter2" not in seen.body
    async with app_database.transaction(tenant) as tx:
        config = await api.config(tx, VAULT, UUID(made["id"]))
    assert config.secret == b"hunter2-secret"
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"connector": "pigeon"}, "unknown_connector", "connector"),
        ({"platform": "whatsapp"}, "bad_account", "platform"),
        ({"settings": {"rate_per_second": -1}}, "bad_account", "settings.rate_per_second"),
        ({"settings": {"colour": "red"}}, "bad_account", "settings.colour"),
        ({"name": "   "}, "bad_account", "name"),
        ({"name": "a\u202eb"}, "bad_account", "name"),
        ({"labels": [f"l{number}" for number in range(31)]}, "bad_account", "labels"),
        ({"proxy_id": str(uuid7())}, "unknown_proxy", "proxy_id"),
    ],
)
async def test_what_is_not_valid_is_refused_with_its_place(
    client: Client, change: dict[str, Any], code: str, place: str
) -> None:
    body = {"connector": "simulator_telegram", "name": "a", "address": "@a", **change}
    answer = await client.post("/api/v1/accounts", json=body)
    assert (answer.status, answer.code) == (400, code)
    assert place in answer.json()["place"]


async def test_a_bad_secret_is_not_repeated(client: Client) -> None:
    body = {"connector": "simulator_telegram", "name": "a", "address": "@a", "secret": ["hunter2"]}
    answer = await client.post("/api/v1/accounts", json=body)
    assert answer.status in (400, 422)
    assert b"hunter2" not in answer.body


async def test_an_address_is_taken_until_its_account_is_deleted(app_database: Database, tenant: UUID) -> None:
    (first,) = await make(app_database, tenant, new(1))
    with pytest.raises(AddressTaken):
        await make(app_database, tenant, new(1))
    async with app_database.transaction(tenant) as tx:
        await api.remove(tx, system_subject(tenant), first)
    (second,) = await make(app_database, tenant, new(1))
    assert second != first


async def test_deleting_destroys_the_secret(app_database: Database, tenant: UUID, owner: Owner) -> None:
    (account,) = await make(app_database, tenant, new(1, secret=b"x"))
    async with app_database.transaction(tenant) as tx:
        await api.save_sync(tx, account, {"session": b"y"})
        await api.remove(tx, system_subject(tenant), account)
    assert await owner.fetchval("SELECT secret FROM platforms.account WHERE id = $1", account) is None
    assert await owner.fetchval("SELECT count(*) FROM platforms.account_sync WHERE id = $1", account) == 0


async def test_a_secret_of_another_account_does_not_open(app_database: Database, tenant: UUID, owner: Owner) -> None:
    one, two = await make(app_database, tenant, new(1, secret=b"one"), new(2, secret=b"two"))
    await owner.execute(
        "UPDATE platforms.account SET secret = (SELECT secret FROM platforms.account WHERE id = $1) WHERE id = $2",
        one,
        two,
    )
    async with app_database.transaction(tenant) as tx:
        with pytest.raises(Exception, match="cannot be read"):
            await api.config(tx, VAULT, two)


async def test_a_new_secret_ends_the_saved_session(app_database: Database, tenant: UUID) -> None:
    (account,) = await make(app_database, tenant, new(1, secret=b"old"))
    await turn(app_database, tenant, account, AccountState.ONLINE)
    async with app_database.transaction(tenant) as tx:
        await api.save_sync(tx, account, {"session": b"y"})
        await api.set_secret(tx, VAULT, system_subject(tenant), account, b"new")
        config = await api.config(tx, VAULT, account)
        after = await api.get(tx, account)
    assert (config.secret, dict(config.state)) == (b"new", {})
    assert (after.state, after.reason_code, after.parked) == (AccountState.PARKED, "reopening", False)


async def test_parking_tells_the_workers_at_once(app_database: Database, tenant: UUID, owner: Owner) -> None:
    (account,) = await make(app_database, tenant, new(1))
    heard: list[str] = []
    await owner.add_listener("carillon_lease", lambda *arguments: heard.append(arguments[2]))
    async with app_database.transaction(tenant) as tx:
        await api.park(tx, system_subject(tenant), account)
    await owner.fetchval("SELECT 1")
    assert heard == ["carillon_lease"]


async def test_only_an_operator_leads_out_of_parked_banned_and_signed_out(app_database: Database, tenant: UUID) -> None:
    subject = system_subject(tenant)
    (account,) = await make(app_database, tenant, new(1))
    async with app_database.transaction(tenant) as tx:
        await api.park(tx, subject, account)
    await turn(app_database, tenant, account, AccountState.ONLINE)
    assert await state_of(app_database, tenant, account) is AccountState.PARKED
    await turn(app_database, tenant, account, AccountState.BANNED)
    async with app_database.transaction(tenant) as tx:
        assert (await api.unpark(tx, subject, account)).state is AccountState.BANNED
        with pytest.raises(AccountStopped):
            await api.park(tx, subject, account)
    await turn(app_database, tenant, account, AccountState.ONLINE)
    assert await state_of(app_database, tenant, account) is AccountState.BANNED
    async with app_database.transaction(tenant) as tx:
        assert (await api.sign_in_again(tx, subject, account)).state is AccountState.NEW
    await turn(app_database, tenant, account, AccountState.ONLINE)
    assert await state_of(app_database, tenant, account) is AccountState.ONLINE


async def test_what_a_connector_could_not_open_is_explained_and_tried_again(
    app_database: Database, worker_resources: Resources, tenant: UUID
) -> None:
    (account,) = await make(app_database, tenant, new(1))
    await turn(app_database, tenant, account, AccountState.PARKED)
    async with app_database.transaction(tenant) as tx:
        assert (await api.get(tx, account)).reason_code == "cannot_open"
    await api.tick(worker_resources)
    assert await state_of(app_database, tenant, account) is AccountState.PARKED
    async with app_database.transaction(tenant) as tx:
        edit = AccountEdit(frozenset({"settings"}), settings={"rate_per_second": 2})
        await api.edit(tx, system_subject(tenant), account, edit)
    await api.tick(worker_resources)
    assert await state_of(app_database, tenant, account) is AccountState.NEW
    await turn(app_database, tenant, account, AccountState.PARKED)
    async with app_database.transaction(tenant) as tx:
        assert (await api.unpark(tx, system_subject(tenant), account)).state is AccountState.NEW


async def test_a_flood_ends_by_itself_and_not_before(
    app_database: Database, worker_resources: Resources, tenant: UUID, owner: Owner
) -> None:
    over, lasting = await make(app_database, tenant, new(1), new(2))
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    await turn(app_database, tenant, over, AccountState.FLOODED, wait=60, at=long_ago)
    await turn(app_database, tenant, lasting, AccountState.FLOODED, wait=3600)
    await turn(app_database, tenant, lasting, AccountState.ONLINE)
    assert await state_of(app_database, tenant, lasting) is AccountState.FLOODED
    await owner.execute(
        "INSERT INTO platforms.account_lease (tenant_id, id, worker_id, epoch) VALUES ($1, $2, $3, 1)",
        tenant,
        over,
        uuid7(),
    )
    await api.tick(worker_resources)
    assert await state_of(app_database, tenant, over) is AccountState.ONLINE
    assert await state_of(app_database, tenant, lasting) is AccountState.FLOODED


async def test_a_reopened_account_goes_on_when_its_owner_has_let_go(
    app_database: Database, worker_resources: Resources, tenant: UUID, owner: Owner
) -> None:
    (account,) = await make(app_database, tenant, new(1))
    await turn(app_database, tenant, account, AccountState.ONLINE)
    worker = uuid7()
    await owner.execute(
        "INSERT INTO platforms.account_lease (tenant_id, id, worker_id, epoch) VALUES ($1, $2, $3, 1)",
        tenant,
        account,
        worker,
    )
    async with app_database.transaction(tenant) as tx:
        edit = AccountEdit(frozenset({"settings"}), settings={"rate_per_second": 1})
        assert (await api.edit(tx, system_subject(tenant), account, edit)).state is AccountState.PARKED
    await api.tick(worker_resources)
    assert await state_of(app_database, tenant, account) is AccountState.PARKED
    await owner.execute("UPDATE platforms.account_lease SET worker_id = NULL WHERE id = $1", account)
    await api.tick(worker_resources)
    assert await state_of(app_database, tenant, account) is AccountState.NEW


async def test_the_owner_of_the_lease_is_shown(
    client: Client, app_database: Database, tenant: UUID, owner: Owner
) -> None:
    (account,) = await make(app_database, tenant, new(1))
    worker = uuid7()
    await owner.execute(
        "INSERT INTO platforms.worker (id, name, expires_at) VALUES ($1, 'host:1', now() + interval '1 minute')", worker
    )
    await owner.execute(
        "INSERT INTO platforms.account_lease (tenant_id, id, worker_id, epoch) VALUES ($1, $2, $3, 1)",
        tenant,
        account,
        worker,
    )
    shown = (await client.get(f"/api/v1/accounts/{account}")).json()["owner"]
    assert (shown["name"], shown["alive"]) == ("host:1", True)


async def test_filters_counts_and_pages(client: Client, app_database: Database, tenant: UUID) -> None:
    accounts = await make(
        app_database,
        tenant,
        *[new(number, labels=("even",) if number % 2 == 0 else ()) for number in range(7)],
        new(7, connector="simulator_whatsapp", name="100%_钟", address="+8613800138000"),
    )
    await turn(app_database, tenant, accounts[0], AccountState.ONLINE)

    async def found(**query: Any) -> list[str]:
        ids, cursor = [], None
        while True:
            page = {**query, "limit": 3, **({"cursor": cursor} if cursor else {})}
            answer = (await client.get("/api/v1/accounts", query=page)).json()
            ids += [item["id"] for item in answer["items"]]
            cursor = answer["next_cursor"]
            if cursor is None:
                return ids

    everything = [str(account) for account in reversed(accounts)]
    assert await found() == everything
    assert await found(label="even") == [str(accounts[number]) for number in (6, 4, 2, 0)]
    assert await found(platform="whatsapp") == [str(accounts[7])]
    assert await found(state="online") == [str(accounts[0])]
    assert await found(query="%_钟") == [str(accounts[7])]
    assert await found(query="BELL") == everything[1:]
    assert await found(query="_") == everything
    counts = (await client.get("/api/v1/accounts/counts", query={"platform": "telegram"})).json()
    assert counts == {"total": 7, "states": {"new": 6, "online": 1}}


async def test_the_list_is_one_statement_however_long(app_database: Database, tenant: UUID) -> None:
    await make(app_database, tenant, *[new(number) for number in range(10)])
    statements: list[str] = []
    async with app_database.transaction(tenant) as tx:
        event.listen(
            app_database.engine.sync_engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
        )
        page = await api.list_accounts(tx, api.AccountFilter(), PageRequest(limit=200))
        await api.count(tx, api.AccountFilter())
    assert len(page.items) == 10
    assert len(statements) == 2, statements


async def test_a_bulk_creation_tells_the_fate_of_every_row(client: Client) -> None:
    rows = [
        {"connector": "simulator_telegram", "name": "a", "address": "@a"},
        {"connector": "pigeon", "name": "b", "address": "@b"},
        {"connector": "simulator_telegram", "name": "c", "address": "@a"},
        {"connector": "simulator_telegram", "name": "d", "address": "@d"},
    ]
    items = (await client.post("/api/v1/accounts/bulk", json={"accounts": rows})).json()["items"]
    assert [(item["outcome"], item["code"]) for item in items] == [
        ("done", None),
        ("refused", "unknown_connector"),
        ("refused", "account_address_taken"),
        ("done", None),
    ]
    assert (await client.get("/api/v1/accounts/counts")).json()["total"] == 2


async def test_bulk_parking_and_its_undo(app_database: Database, tenant: UUID) -> None:
    subject = system_subject(tenant)
    one, parked, banned = await make(app_database, tenant, new(1), new(2, parked=True), new(3))
    await turn(app_database, tenant, banned, AccountState.BANNED)
    gone = uuid7()
    async with app_database.transaction(tenant) as tx:
        result = await api.act(tx, subject, BulkKind.PARK, ids=[one, parked, banned, gone])
    assert {(item.id, item.outcome, item.code) for item in result.items} == {
        (one, "done", None),
        (parked, "unchanged", None),
        (banned, "refused", "account_stopped"),
        (gone, "refused", "account_not_found"),
    }
    async with app_database.transaction(tenant) as tx:
        undone = await api.undo(tx, subject, result.action_id)
        assert undone.changed == 1
        assert (await api.get(tx, one)).state is AccountState.NEW
        assert (await api.get(tx, parked)).state is AccountState.PARKED
        with pytest.raises(AlreadyUndone):
            await api.undo(tx, subject, result.action_id)


async def test_bulk_labels_by_filter_and_their_undo(app_database: Database, tenant: UUID) -> None:
    subject = system_subject(tenant)
    east, west = await make(app_database, tenant, new(1, labels=("east",)), new(2))
    async with app_database.transaction(tenant) as tx:
        result = await api.act(tx, subject, BulkKind.LABEL, matching=api.AccountFilter(), label="east")
        assert result.changed == 1
        assert (await api.get(tx, west)).labels == ("east",)
        await api.undo(tx, subject, result.action_id)
        assert (await api.get(tx, west)).labels == ()
        assert (await api.get(tx, east)).labels == ("east",)
        with pytest.raises(BadAccount):
            await api.act(tx, subject, BulkKind.PARK)


async def test_days_are_counted_from_events(app_database: Database, tenant: UUID) -> None:
    (account,) = await make(app_database, tenant, new(1, settings={"daily_unique": 3}))
    now = datetime.now(UTC)

    def changed(state: str) -> MessageChanged:
        return MessageChanged(message_id=uuid7(), account_id=account, contact_id=uuid7(), kind="reply", state=state)

    events = [changed("sent"), changed("sent"), changed("read"), changed("held")]
    received = InboundReceived(inbound_id=uuid7(), account_id=account, contact_id=uuid7())
    recorded = [Recorded(uuid7(), tenant, one, 1, number, now) for number, one in enumerate([*events, received])]
    async with app_database.transaction(tenant) as tx:
        await api.tally(tx, recorded)
        await api.tally(tx, recorded[:1])
        today = (await api.view(tx, account)).today
    assert (today.sent, today.read, today.received, today.left) == (3, 1, 1, 0)


async def test_acts_are_on_record_without_secrets(app_database: Database, tenant: UUID, owner: Owner) -> None:
    (account,) = await make(app_database, tenant, new(1, secret=b"hunter2"))
    async with app_database.transaction(tenant) as tx:
        await api.set_secret(tx, VAULT, system_subject(tenant), account, b"hunter3")
        await api.park(tx, system_subject(tenant), account)
        await api.remove(tx, system_subject(tenant), account)
    rows = await owner.fetch(
        "SELECT action, details::text FROM identity.audit_entry WHERE tenant_id = $1 ORDER BY seq", tenant
    )
    actions = [row["action"] for row in rows]
    assert actions == ["account.created", "account.secret_changed", "account.parked", "account.deleted"]
    assert "hunter" not in "".join(row["details"] for row in rows)


async def test_another_tenant_sees_and_touches_nothing(
    anyone: Client, authenticator: FakeAuthenticator, app_database: Database, tenant: UUID, other_tenant: UUID
) -> None:
    (account,) = await make(app_database, tenant, new(1))
    await make(app_database, other_tenant, new(1))
    stranger = anyone.having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    assert (await stranger.get("/api/v1/accounts/counts")).json()["total"] == 1
    path = f"/api/v1/accounts/{account}"
    answers = [
        await stranger.get(path),
        await stranger.request("PATCH", path, json={"name": "x"}),
        await stranger.request("PUT", f"{path}/secret", json={"secret": "x"}),
        await stranger.post(f"{path}/park"),
        await stranger.post(f"{path}/unpark"),
        await stranger.post(f"{path}/sign-in"),
        await stranger.request("DELETE", path),
    ]
    assert {answer.status for answer in answers} == {404}
    assert (await stranger.get(f"{path}/timeline")).json()["items"] == []
    bulk = await stranger.post("/api/v1/accounts/actions", json={"kind": "park", "ids": [str(account)]})
    assert bulk.json()["items"][0]["code"] == "account_not_found"
    assert await state_of(app_database, tenant, account) is AccountState.NEW


async def test_reading_does_not_allow_writing(anyone: Client, authenticator: FakeAuthenticator, tenant: UUID) -> None:
    token = authenticator.admit(tenant, compile_permissions([Permission.ACCOUNTS_READ]))
    reader = anyone.having(authorization=f"Bearer {token}")
    assert (await reader.get("/api/v1/accounts")).status == 200
    assert (await reader.get("/api/v1/connectors")).json()["items"][0]["name"] == "simulator_telegram"
    answer = await reader.post(
        "/api/v1/accounts", json={"connector": "simulator_telegram", "name": "a", "address": "@a"}
    )
    assert answer.code == "missing_permission"
