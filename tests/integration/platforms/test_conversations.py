"""The inbox over a real database: what messages do to it, working through it, isolation, statement counts."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog
from sqlalchemy import event

from carillon.audience.contacts import api as contacts
from carillon.events.catalog.audience import ContactsMerged, ContactsUnmerged
from carillon.events.catalog.base import Event
from carillon.events.catalog.platforms import InboundReceived, MessageAccepted, MessageChanged
from carillon.events.consumer import Recorded
from carillon.gateway.app import create_app
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.kernel.permissions import Permission, compile_permissions
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts.manifest import manifest as accounts_manifest
from carillon.platforms.conversations import api
from carillon.platforms.conversations.consumers import follow_inbound, follow_outbound
from carillon.platforms.conversations.contracts import Act, ActKind, ConversationFilter, ConversationView, Status
from carillon.platforms.conversations.manifest import manifest
from carillon.platforms.delivery.manifest import manifest as delivery_manifest
from carillon.platforms.proxies.manifest import manifest as proxies_manifest
from carillon.platforms.templates.manifest import manifest as templates_manifest
from carillon.storage.resources import Resources
from tests.fixtures.api import Client, FakeAuthenticator
from tests.fixtures.delivery import add_account, add_people

MANIFESTS = [accounts_manifest, proxies_manifest, templates_manifest, delivery_manifest, manifest]
PATH = "/api/v1/conversations"


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def authenticator() -> FakeAuthenticator:
    return FakeAuthenticator()


@pytest.fixture
def anyone(app_resources: Resources, authenticator: FakeAuthenticator) -> Client:
    return Client(create_app(MANIFESTS, app_resources, authenticator))


@pytest.fixture
def client(anyone: Client, authenticator: FakeAuthenticator, tenant: UUID) -> Client:
    return anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}")


class Inbox:
    """An account, some people, and what they write."""

    def __init__(self, resources: Resources, tenant: UUID) -> None:
        self.resources, self.tenant = resources, tenant
        self.database = resources.database
        self.account = UUID(int=0)
        self.people: list[UUID] = []

    async def fill(self, count: int, **values: Any) -> "Inbox":
        async with self.database.transaction(self.tenant) as tx:
            self.account = await add_account(tx)
            self.people = await add_people(tx, count, **values)
        return self

    async def write(self, *texts: tuple[UUID, str], account: UUID | None = None) -> list[UUID]:
        """People write; the events are consumed in one batch."""
        ids = [uuid7() for _ in texts]
        async with self.database.transaction(self.tenant) as tx:
            for inbound_id, (person, text) in zip(ids, texts, strict=True):
                await tx.execute(
                    "INSERT INTO platforms.inbound_message (tenant_id, id, account_id, contact_id, chat, sender, "
                    "platform_id, body, raw, sent_at, received_at) VALUES (:t, :id, :account, :person, 'c', 's', :key, "
                    ":text, '{}', now(), clock_timestamp())",
                    {
                        "t": self.tenant,
                        "id": inbound_id,
                        "account": account or self.account,
                        "person": person,
                        "key": str(inbound_id),
                        "text": text,
                    },
                )
        told = [
            InboundReceived(inbound_id=inbound_id, account_id=account or self.account, contact_id=person)
            for inbound_id, (person, _) in zip(ids, texts, strict=True)
        ]
        await self.tell(*told)
        return ids

    async def tell(self, *events: Event, outbound: bool = False) -> None:
        now = datetime.now(UTC)
        recorded = [Recorded(uuid7(), self.tenant, one, 1, number, now) for number, one in enumerate(events)]
        async with self.database.transaction(self.tenant) as tx:
            await (follow_outbound if outbound else follow_inbound)(self.resources, tx, recorded)

    async def of(self, person: UUID, account: UUID | None = None) -> ConversationView:
        found = [
            view
            for view in await self.all(ConversationFilter(contact_id=person))
            if view.conversation.account_id == (account or self.account)
        ]
        assert len(found) == 1
        return found[0]

    async def all(self, wanted: ConversationFilter | None = None) -> list[ConversationView]:
        async with self.database.transaction(self.tenant) as tx:
            page = await api.list_conversations(tx, wanted or ConversationFilter(), PageRequest(limit=200))
        return page.items

    async def act(self, person: UUID, kind: ActKind, **values: Any) -> ConversationView:
        view = await self.of(person)
        async with self.database.transaction(self.tenant) as tx:
            return await api.act(tx, system_subject(self.tenant), view.conversation.id, Act(kind, **values))

    async def events(self, conversation_id: UUID) -> list[str]:
        async with self.database.transaction(self.tenant) as tx:
            page = await api.activity(tx, conversation_id, PageRequest(limit=100))
        return [one.type for one in reversed(page.items)]


@pytest.fixture
async def inbox(worker_resources: Resources, tenant: UUID) -> Inbox:
    return await Inbox(worker_resources, tenant).fill(3)


async def make_member(owner: "asyncpg.Connection[Any]", tenant: UUID, user_id: UUID | None = None) -> UUID:
    """A user of the tenant."""
    user_id, role_id = user_id or uuid7(), uuid7()
    await owner.execute(
        'INSERT INTO identity."user" (id, email, name, password_hash) VALUES ($1, $2, $3, $3)',
        user_id,
        f"{user_id}@example.test",
        "Ann",
    )
    await owner.execute(
        "INSERT INTO identity.role (tenant_id, id, name, permissions) VALUES ($1, $2, $3, 0)",
        tenant,
        role_id,
        str(role_id),
    )
    await owner.execute(
        "INSERT INTO identity.membership (tenant_id, user_id, role_id) VALUES ($1, $2, $3)", tenant, user_id, role_id
    )
    return user_id


async def test_a_message_opens_a_conversation_and_the_next_ones_count(inbox: Inbox) -> None:
    ann = inbox.people[0]
    await inbox.write((ann, "hello\n there"), (ann, "are you open?"))
    view = await inbox.of(ann)
    one = view.conversation
    assert (one.status, one.unread, one.last_direction, one.last_preview) == (Status.OPEN, 2, "in", "are you open?")
    assert (view.contact_name, one.platform) == ("Person 0", "telegram")
    await inbox.write((ann, "x" * 1_000))
    after = (await inbox.of(ann)).conversation
    assert (after.id, after.unread, len(after.last_preview)) == (one.id, 3, 140)
    assert await inbox.events(one.id) == ["conversation.opened"]


@pytest.mark.parametrize("kind", [ActKind.RESOLVE, ActKind.SNOOZE, ActKind.PEND])
async def test_whatever_was_put_away_opens_when_the_person_writes(inbox: Inbox, kind: ActKind) -> None:
    ann = inbox.people[0]
    await inbox.write((ann, "one"))
    until = datetime.now(UTC) + timedelta(days=1)
    put_away = await inbox.act(ann, kind, until=until if kind is ActKind.SNOOZE else None)
    assert put_away.conversation.status is not Status.OPEN
    await inbox.write((ann, "two"))
    view = (await inbox.of(ann)).conversation
    assert (view.status, view.snoozed_until) == (Status.OPEN, None)
    told = await inbox.events(view.id)
    assert (told[0], told[-1], len(told)) == ("conversation.opened", "conversation.opened", 3)


async def test_snoozed_ones_open_when_they_are_due(inbox: Inbox, owner: "asyncpg.Connection[Any]") -> None:
    ann, ben, _ = inbox.people
    await inbox.write((ann, "one"), (ben, "one"))
    for person in (ann, ben):
        await inbox.act(person, ActKind.SNOOZE, until=datetime.now(UTC) + timedelta(days=1))
    first = (await inbox.of(ann)).conversation
    await owner.execute(
        "UPDATE platforms.conversation SET snoozed_until = now() - interval '1 second' WHERE id = $1", first.id
    )
    await api.wake(inbox.resources)
    assert (await inbox.of(ann)).conversation.status is Status.OPEN
    assert (await inbox.of(ben)).conversation.status is Status.SNOOZED
    assert (await inbox.events(first.id))[-1] == "conversation.opened"


async def test_snoozing_needs_a_time_to_come(client: Client, inbox: Inbox) -> None:
    await inbox.write((inbox.people[0], "one"))
    view = await inbox.of(inbox.people[0])
    path = f"{PATH}/{view.conversation.id}/act"
    for until in (None, "2020-01-01T00:00:00Z"):
        answer = await client.post(path, json={"kind": "snooze", "until": until})
        assert (answer.status, answer.code, answer.json()["place"]) == (400, "bad_act", "field until")


async def test_replying_is_idempotent_marks_read_and_shows_in_the_thread(client: Client, inbox: Inbox) -> None:
    ann = inbox.people[0]
    await inbox.write((ann, "hello"))
    path = f"{PATH}/{(await inbox.of(ann)).conversation.id}"
    await client.request("PUT", f"{path}/draft", json={"body": "half a thou"})
    assert (await client.get(f"{path}/draft")).json()["body"] == "half a thou"
    body = {"body": "Hi Ann", "message_id": str(uuid7())}
    first = await client.post(f"{path}/messages", json=body)
    again = await client.post(f"{path}/messages", json=body)
    other = await client.post(f"{path}/messages", json={**body, "body": "something else"})
    assert (first.status, first.json(), other.code) == (201, again.json(), "message_id_taken")
    assert (await client.get(f"{path}/draft")).json()["body"] == ""
    ours: dict[str, Any] = {"message_id": UUID(body["message_id"]), "account_id": inbox.account, "contact_id": ann}
    await inbox.tell(MessageAccepted(**ours, kind="reply"), outbound=True)
    view = (await client.get(path)).json()
    assert (view["unread"], view["last_direction"], view["last_preview"]) == (0, "out", "Hi Ann")
    assert view["last_state"] == "queued"
    await inbox.tell(MessageChanged(**ours, kind="reply", state="failed"), outbound=True)
    assert (await client.get(path)).json()["last_state"] == "failed"
    thread = (await client.get(f"{path}/messages", query={"limit": 1})).json()
    older = (await client.get(f"{path}/messages", query={"cursor": thread["next_cursor"]})).json()
    said = [(entry["direction"], entry["body"]) for entry in thread["items"] + older["items"]]
    assert said == [("out", "Hi Ann"), ("in", "hello")]


async def test_two_replies_with_one_id_at_once_are_one_message(client: Client, inbox: Inbox) -> None:
    await inbox.write((inbox.people[0], "hello"))
    path = f"{PATH}/{(await inbox.of(inbox.people[0])).conversation.id}/messages"
    body = {"body": "Hi", "message_id": str(uuid7())}
    answers = await asyncio.gather(*[client.post(path, json=body) for _ in range(4)])
    assert {answer.status for answer in answers} == {201}
    assert len((await client.get("/api/v1/messages")).json()["items"]) == 1


async def test_nobody_answers_a_person_who_opted_out(
    client: Client, inbox: Inbox, owner: "asyncpg.Connection[Any]"
) -> None:
    ann = inbox.people[0]
    await inbox.write((ann, "STOP"))
    await owner.execute("UPDATE audience.contact SET opted_out_at = now() WHERE id = $1", ann)
    view = await inbox.of(ann)
    assert view.opted_out
    answer = await client.post(f"{PATH}/{view.conversation.id}/messages", json={"body": "please"})
    assert (answer.status, answer.code) == (409, "contact_opted_out")
    assert await owner.fetchval("SELECT count(*) FROM platforms.message WHERE contact_id = $1", ann) == 0


async def test_replying_takes_the_permission_to_send(
    anyone: Client, authenticator: FakeAuthenticator, inbox: Inbox
) -> None:
    await inbox.write((inbox.people[0], "hello"))
    token = authenticator.admit(inbox.tenant, compile_permissions([Permission.CONVERSATIONS_WRITE]))
    writer = anyone.having(authorization=f"Bearer {token}")
    path = f"{PATH}/{(await inbox.of(inbox.people[0])).conversation.id}/messages"
    assert (await writer.post(path, json={"body": "hi"})).code == "missing_permission"


async def test_filters_counts_and_pages(
    client: Client,
    authenticator: FakeAuthenticator,
    worker_resources: Resources,
    tenant: UUID,
    owner: "asyncpg.Connection[Any]",
) -> None:
    inbox = await Inbox(worker_resources, tenant).fill(7)
    await inbox.write(*[(person, f"text {number}") for number, person in enumerate(inbox.people)])
    (subject,) = authenticator.subjects.values()
    assert subject.id is not None
    await make_member(owner, tenant, subject.id)
    await inbox.act(inbox.people[0], ActKind.ASSIGN, assignee_id=subject.id)
    await inbox.act(inbox.people[1], ActKind.RESOLVE)
    await inbox.act(inbox.people[2], ActKind.LABEL, label="钟")
    await inbox.act(inbox.people[3], ActKind.READ)

    async def found(**query: Any) -> list[str]:
        people, cursor = [], None
        while True:
            page = {**query, "limit": 2, **({"cursor": cursor} if cursor else {})}
            answer = await client.get(PATH, query=page)
            assert answer.status == 200, answer.body
            people += [item["contact_id"] for item in answer.json()["items"]]
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return people

    everybody = [str(person) for person in inbox.people]
    assert sorted(await found()) == sorted(everybody)
    assert await found(assignee="me") == await found(assignee=str(subject.id)) == [everybody[0]]
    assert everybody[0] not in await found(assignee="none")
    assert await found(status="resolved") == [everybody[1]]
    assert await found(label="钟") == [everybody[2]]
    assert set(await found(unread="false")) == {everybody[1], everybody[3]}
    assert await found(query="person 5") == [everybody[5]]
    assert await found(query="100%") == []
    assert await found(account_id=str(uuid7())) == []
    counts = (await client.get(f"{PATH}/counts")).json()
    assert counts == {
        "total": 7,
        "by_status": {"open": 6, "pending": 0, "snoozed": 0, "resolved": 1},
        "mine": 1,
        "unassigned": 6,
        "unread": 5,
    }
    assert (await client.get(PATH, query={"cursor": "bm9uc2Vuc2U"})).code == "bad_cursor"


FILTERS = [
    ConversationFilter(status=status, unassigned=unassigned, unread=unread)
    for status in (None, *Status)
    for unassigned in (False, True)
    for unread in (None, False, True)
]


async def test_tallies_count_what_is_there_whatever_happened_and_folded_too(
    worker_resources: Resources, app_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]"
) -> None:
    """What statements of the inbox leave behind must add up to its rows, or screens show nonsense for ever."""
    inbox = await Inbox(worker_resources, tenant).fill(8)
    agent = uuid7()
    await make_member(owner, tenant, agent)
    kinds = (ActKind.RESOLVE, ActKind.READ, ActKind.PEND, ActKind.UNREAD, ActKind.RESOLVE, ActKind.REOPEN)

    async def compare() -> None:
        async with app_resources.database.transaction(tenant) as tx:
            for wanted in [*FILTERS, ConversationFilter(assignee_id=agent)]:
                tallied = await api.count(tx, wanted, agent)
                # With one more condition that holds for all, rows are counted.
                assert tallied == await api.count(tx, replace(wanted, account_id=inbox.account), agent), wanted

    await compare()
    for round_ in range(12):
        await inbox.write(*[(person, "hello") for person in inbox.people[round_ % 3 :: 2]])
        await inbox.act(inbox.people[2], kinds[round_ % 6])
        await inbox.act(inbox.people[4], ActKind.ASSIGN, assignee_id=agent if round_ % 2 else None)
        await compare()
    async with worker_resources.database.transaction(tenant) as tx:
        before = await tx.scalar("SELECT count(*) FROM platforms.conversation_tally")
        await tx.execute(
            "INSERT INTO platforms.conversation_tally (tenant_id, id, status, is_unread, change) "
            "SELECT :tenant, storage.uuid7(), 'open', true, CASE WHEN n % 2 = 0 THEN 1 ELSE -1 END "
            "FROM generate_series(1, 300) n",
            {"tenant": tenant},
        )
    await api.fold(worker_resources)
    await compare()
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM platforms.conversation_tally") < before
        await tx.execute("DELETE FROM platforms.conversation")
    await compare()


async def test_a_search_that_means_many_finds_them_all_the_same(
    worker_resources: Resources, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = await Inbox(worker_resources, tenant).fill(12)
    await inbox.write(*[(person, "hello") for person in inbox.people])
    everybody = await inbox.all(ConversationFilter(query="person"))
    assert len(everybody) == 12
    monkeypatch.setattr("carillon.platforms.conversations.repository._FEW", 5)
    assert await inbox.all(ConversationFilter(query="person")) == everybody
    assert len(await inbox.all(ConversationFilter(query="person 11"))) == 1


async def test_a_list_costs_the_same_however_long(inbox: Inbox, worker_resources: Resources, tenant: UUID) -> None:
    long = await Inbox(worker_resources, tenant).fill(40)
    await long.write(*[(person, "hello") for person in long.people])
    statements: list[str] = []
    async with worker_resources.database.transaction(tenant) as tx:
        engine = worker_resources.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
        page = await api.list_conversations(tx, ConversationFilter(), PageRequest(limit=200))
        listed = len(statements)
        await api.count(tx, ConversationFilter(), None)
    assert (len(page.items), listed, len(statements)) == (40, 3, 4), statements


async def test_a_batch_of_arrivals_costs_the_same_however_long(worker_resources: Resources, tenant: UUID) -> None:
    inbox = await Inbox(worker_resources, tenant).fill(30)
    statements: list[str] = []
    engine = worker_resources.database.engine.sync_engine
    recorded = [
        Recorded(
            uuid7(),
            tenant,
            InboundReceived(inbound_id=uuid7(), account_id=inbox.account, contact_id=person),
            1,
            number,
            datetime.now(UTC),
        )
        for number, person in enumerate(inbox.people)
    ]
    async with worker_resources.database.transaction(tenant) as tx:
        event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
        await api.received(tx, recorded)
    assert len(statements) <= 3, statements
    assert len(await inbox.all()) == 30


async def test_bulk_acts_on_all_that_match_and_is_undone(client: Client, inbox: Inbox) -> None:
    await inbox.write(*[(person, "hello") for person in inbox.people])
    await inbox.act(inbox.people[0], ActKind.PEND)
    body = {"kind": "resolve", "matching": {"status": "open"}}
    done = (await client.post(f"{PATH}/actions", json=body)).json()
    assert (done["matched"], done["changed"]) == (2, 2)
    await inbox.act(inbox.people[1], ActKind.REOPEN)
    undone = (await client.post(f"{PATH}/actions/{done['id']}/undo")).json()
    assert (undone["matched"], undone["changed"]) == (2, 1)
    states = [(await inbox.of(person)).conversation for person in inbox.people]
    assert [one.status.value for one in states] == ["pending", "open", "open"]
    assert [one.unread for one in states] == [1, 0, 1]
    assert (await client.post(f"{PATH}/actions/{done['id']}/undo")).code == "already_undone"
    assert (await client.post(f"{PATH}/actions", json={"kind": "resolve"})).code == "bad_act"


async def test_only_members_are_assigned_and_mentioned(
    client: Client, inbox: Inbox, owner: "asyncpg.Connection[Any]"
) -> None:
    await inbox.write((inbox.people[0], "hello"))
    path = f"{PATH}/{(await inbox.of(inbox.people[0])).conversation.id}"
    stranger, member = str(uuid7()), str(await make_member(owner, inbox.tenant))
    assert (await client.post(f"{path}/act", json={"kind": "assign", "assignee_id": stranger})).status == 404
    assigned = await client.post(f"{path}/act", json={"kind": "assign", "assignee_id": member})
    assert assigned.json()["assignee_id"] == member
    freed = await client.post(f"{path}/act", json={"kind": "assign", "assignee_id": None})
    assert freed.json()["assignee_id"] is None
    assert (await client.post(f"{path}/notes", json={"body": "hm", "mentions": [stranger]})).status == 404
    noted = await client.post(f"{path}/notes", json={"body": "@ann look", "mentions": [member, member]})
    assert noted.json()["mentions"] == [member]


async def test_notes_are_their_authors(
    client: Client, anyone: Client, authenticator: FakeAuthenticator, inbox: Inbox
) -> None:
    await inbox.write((inbox.people[0], "hello"))
    path = f"{PATH}/{(await inbox.of(inbox.people[0])).conversation.id}/notes"
    note = (await client.post(path, json={"body": "first"})).json()
    colleague = anyone.having(authorization=f"Bearer {authenticator.admit(inbox.tenant)}")
    assert [one["body"] for one in (await colleague.get(path)).json()["items"]] == ["first"]
    for method in ("PUT", "DELETE"):
        body = {"body": "mine"} if method == "PUT" else None
        assert (await colleague.request(method, f"{path}/{note['id']}", json=body)).code == "not_your_note"
    assert (await client.request("PUT", f"{path}/{note['id']}", json={"body": "second"})).json()["body"] == "second"
    assert (await client.request("DELETE", f"{path}/{note['id']}")).status == 204
    assert (await client.get(path)).json()["items"] == []
    assert (await client.post(path, json={"body": " "})).code == "bad_act"


async def test_merged_people_share_conversations_and_part_again(inbox: Inbox) -> None:
    winner, loser, _ = inbox.people
    async with inbox.database.transaction(inbox.tenant) as tx:
        second = await add_account(tx)
    await inbox.write((winner, "a"), (loser, "b"))
    await inbox.write((loser, "c"), account=second)
    await inbox.act(winner, ActKind.RESOLVE)
    kept = (await inbox.of(winner)).conversation
    merged = {"merge_id": uuid7(), "winner_id": winner, "loser_id": loser}
    await inbox.tell(ContactsMerged(**merged))
    assert await inbox.all(ConversationFilter(contact_id=loser)) == []
    one = (await inbox.of(winner)).conversation
    assert (one.id, one.status, one.unread, one.last_preview) == (kept.id, Status.OPEN, 1, "b")
    assert (await inbox.of(winner, second)).conversation.last_preview == "c"
    await inbox.tell(ContactsUnmerged(**merged))
    assert (await inbox.of(loser, second)).conversation.last_preview == "c"
    assert (await inbox.of(winner)).conversation.id == kept.id


async def test_arrivals_and_merges_in_one_batch_keep_their_order(inbox: Inbox) -> None:
    winner, loser, _ = inbox.people
    before = InboundReceived(inbound_id=uuid7(), account_id=inbox.account, contact_id=loser)
    merge = ContactsMerged(merge_id=uuid7(), winner_id=winner, loser_id=loser)
    after = InboundReceived(inbound_id=uuid7(), account_id=inbox.account, contact_id=winner)
    await inbox.tell(before, merge, after)
    assert await inbox.all(ConversationFilter(contact_id=loser)) == []
    assert (await inbox.of(winner)).conversation.unread == 2


async def test_an_operator_starts_a_conversation_once(client: Client, inbox: Inbox) -> None:
    body = {"account_id": str(inbox.account), "contact_id": str(inbox.people[0])}
    first = (await client.post(PATH, json=body)).json()
    await inbox.act(inbox.people[0], ActKind.RESOLVE)
    again = (await client.post(PATH, json=body)).json()
    assert (first["id"], again["status"]) == (again["id"], "open")
    assert (await client.post(PATH, json={**body, "account_id": str(uuid7())})).code == "unknown_account"
    assert (await client.post(PATH, json={**body, "contact_id": str(uuid7())})).code == "unknown_contact"


async def test_canned_replies(client: Client) -> None:
    path = "/api/v1/canned-replies"
    body = {"shortcut": "hi", "title": "Greeting", "text": "Hello {{ name | default: 'there' }}"}
    made = (await client.post(path, json=body)).json()
    assert (await client.post(path, json=body)).code == "shortcut_taken"
    assert (await client.post(path, json={**body, "shortcut": "x", "text": "{{ oops }}"})).code == "bad_template"
    other = (await client.post(path, json={**body, "shortcut": "bye"})).json()
    assert (await client.request("PUT", f"{path}/{other['id']}", json=body)).code == "shortcut_taken"
    listed = (await client.get(path, query={"limit": 1})).json()
    rest = (await client.get(path, query={"cursor": listed["next_cursor"]})).json()
    assert [one["shortcut"] for one in listed["items"] + rest["items"]] == ["bye", "hi"]
    assert (await client.request("DELETE", f"{path}/{made['id']}")).status == 204
    assert (await client.request("DELETE", f"{path}/{made['id']}")).code == "canned_reply_not_found"


async def test_another_tenant_sees_and_touches_nothing(
    client: Client, anyone: Client, authenticator: FakeAuthenticator, inbox: Inbox, other_tenant: UUID
) -> None:
    await inbox.write((inbox.people[0], "hello"))
    conversation = (await inbox.of(inbox.people[0])).conversation
    path = f"{PATH}/{conversation.id}"
    note = (await client.post(f"{path}/notes", json={"body": "secret"})).json()
    message = (await client.post(f"{path}/messages", json={"body": "hi"})).json()
    stranger = anyone.having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    answers = [
        await stranger.get(path),
        await stranger.post(f"{path}/act", json={"kind": "resolve"}),
        await stranger.get(f"{path}/messages"),
        await stranger.post(f"{path}/messages", json={"body": "hi"}),
        await stranger.get(f"{path}/activity"),
        await stranger.get(f"{path}/notes"),
        await stranger.post(f"{path}/notes", json={"body": "x"}),
        await stranger.request("PUT", f"{path}/notes/{note['id']}", json={"body": "x"}),
        await stranger.request("DELETE", f"{path}/notes/{note['id']}"),
        await stranger.get(f"{path}/draft"),
        await stranger.request("PUT", f"{path}/draft", json={"body": "x"}),
        await stranger.get(f"/api/v1/messages/{message['id']}"),
        await stranger.post(f"/api/v1/messages/{message['id']}/cancel"),
        await stranger.post(f"/api/v1/messages/{message['id']}/resend"),
    ]
    assert {answer.status for answer in answers} == {404}
    bulk = await stranger.post(f"{PATH}/actions", json={"kind": "resolve", "ids": [str(conversation.id)]})
    assert bulk.json()["matched"] == 0
    assert (await stranger.get(f"{PATH}/counts")).json()["total"] == 0
    assert (await inbox.of(inbox.people[0])).conversation.status is Status.OPEN


async def test_messages_are_sent_listed_and_taken_back(client: Client, inbox: Inbox) -> None:
    path = "/api/v1/messages"
    body = {"account_id": str(inbox.account), "contact_id": str(inbox.people[0]), "body": "Notice"}
    sent = await client.post(path, json={**body, "message_id": str(uuid7())})
    assert (sent.status, sent.json()["state"]) == (201, "queued"), sent.body
    message = sent.json()
    again = await client.post(path, json={**body, "message_id": message["id"]})
    other = await client.post(path, json={**body, "body": "other", "message_id": message["id"]})
    assert (again.json()["id"], other.status) == (message["id"], 409)
    listed = await client.get(path, query={"contact_id": body["contact_id"], "state": "queued"})
    assert [one["id"] for one in listed.json()["items"]] == [message["id"]]
    assert (await client.post(f"{path}/{message['id']}/cancel")).json()["state"] == "cancelled"
    assert (await client.post(f"{path}/{message['id']}/cancel")).code == "not_cancellable"
    assert (await client.post(f"{path}/{message['id']}/resend")).code == "not_resendable"
    assert (await client.post(path, json={**body, "kind": "confirmation"})).status == 422


async def test_a_person_is_exported_and_erased(inbox: Inbox, tenant: UUID) -> None:
    ann = inbox.people[0]
    await inbox.write((ann, "my secret"))
    conversation = (await inbox.of(ann)).conversation
    data, subject = api.ConversationData(), system_subject(tenant)
    async with inbox.database.transaction(tenant) as tx:
        await api.add_note(tx, subject, conversation.id, body="a note on Ann")
        await api.save_draft(tx, conversation.id, uuid7(), "Dear Ann")
        person = await contacts.get(tx, ann)
        exported = await data.export(tx, person)
        assert exported["notes"][0]["body"] == "a note on Ann"
        assert exported["conversations"][0]["last_preview"] == "my secret"
        await data.erase(tx, person)
        empty = await data.export(tx, person)
    assert (empty["notes"], empty["conversations"][0]["last_preview"]) == ([], "")
