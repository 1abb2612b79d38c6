"""Opt-out against authorise, on two connections at once: nothing enters `sending` once an opt-out has committed.

Whatever happens to people happens alone, or while an authorisation is under way: before it commits, or after it was
made and before that commits. The fate of every single row is compared with what the model says of its person.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from carillon.audience.contacts.models import contact
from carillon.platforms.delivery.contracts import Draft, MessageKind, MessageState
from carillon.platforms.delivery.errors import NotSendable
from tests.fixtures.delivery import add_account, make_plan

from . import door
from .people import Change, Person, Town, fresh_address
from .running import check, check_notices, planted, planted_text
from .world import World, now

PLACES = st.integers(0, 5)
ACCOUNTS = st.integers(0, 1)
DAYS = st.sampled_from([0, 1, 3])
"""How long somebody agrees for; 0: they take it back."""
CHANGES = ["STOP", "STOP", "START", "Hello", "says", "called", "listed", "merged", "erased", "moved", "handed over"]


@dataclass
class Message:
    """A row of the ledger."""

    person: Person
    kind: MessageKind
    peer: str
    state: str = "queued"


class OptOutMachine(RuleBasedStateMachine):
    world: ClassVar[World]

    @initialize(days=DAYS)
    def begin(self, days: int) -> None:
        self.messages: dict[UUID, Message] = {}
        self.flying: dict[UUID, door.Ready] = {}
        self.later = timedelta()
        self.world.run(self._begin())
        self.somebody_comes(3, known=False)
        self.somebody_comes(days, known=False)
        for place in range(2):
            self.a_campaign_is_planned(place, place)

    async def _begin(self) -> None:
        self.tenant = await self.world.new_tenant()
        self.stranger = await self.world.new_tenant(alone=False)
        self.town = Town(self.tenant, self.world.resources)
        self.elsewhere = Town(self.stranger, self.world.resources)
        async with self.world.transaction(self.tenant) as tx:
            self.accounts = [await add_account(tx) for _ in range(2)]
        async with self.world.database.across_tenants() as tx:
            self.worker = await door.enlist(tx, "worker")
            self.epochs = {lease.account_id: lease.epoch for lease in await door.leases.claim(tx, self.worker, 10)}
        await self.world.owner.execute("UPDATE platforms.worker SET expires_at = now() + interval '1 hour'")

    @property
    def at(self) -> datetime:
        return now() + self.later

    def inside(self, work: Callable[[door.Tx], Awaitable[Any]]) -> Any:
        return self.world.run(self.world.inside(self.tenant, work))

    def person(self, place: int) -> Person:
        return self.town.living[place % len(self.town.living)]

    # What there is.

    @rule(days=DAYS, known=st.booleans())
    def somebody_comes(self, days: int, known: bool) -> None:
        """With a new address, or with one that is blocked and nobody's; another tenant knows them too."""
        orphaned = self.town.orphaned
        address = orphaned[0] if known and orphaned else fresh_address()
        self.town.people.append(self.inside(lambda tx: self.town.settles(tx, address)))
        if days:
            self._happens(self.town.says(self.town.people[-1], now() + timedelta(days=days)))
        if address not in orphaned:
            self.world.run(self.world.inside(self.stranger, lambda tx: self.elsewhere.settles(tx, address)))

    @precondition(lambda self: self.town.orphaned)
    @rule(account=ACCOUNTS, text=st.sampled_from(["Hello", "START"]))
    def somebody_returns(self, account: int, text: str) -> None:
        """A person was erased, or gave their number up; now somebody writes from that address."""
        person = Person(self.tenant, self.town.orphaned[0], out=True)
        self._happens(self.town.writes(person, text, self.accounts[account]))
        query = select(contact.c.id, contact.c.opted_out_at).where(contact.c.peers["telegram"].astext == person.address)
        row = self.inside(lambda tx: tx.first(query))
        person.id = row["id"]
        assert (row["opted_out_at"] is not None) == person.out, "a blocked address stays blocked, whoever has it"
        self.town.people.append(person)

    @rule(place=PLACES, account=ACCOUNTS)
    def a_campaign_is_planned(self, place: int, account: int) -> None:
        person = self.person(place)
        members = select(contact).where(contact.c.id == person.id)
        plan = make_plan(self.tenant, [self.accounts[account]], members=members)
        self.inside(lambda tx: door.plan(tx, plan))
        (row,) = self.inside(
            lambda tx: tx.all("SELECT * FROM platforms.message WHERE lane = :id", {"id": plan.campaign_id})
        )
        wanted = person.may_get(MessageKind.CAMPAIGN, person.address, plan.now)
        assert row["state"] == ("queued" if wanted else "suppressed")
        self.messages[row["id"]] = Message(person, MessageKind.CAMPAIGN, person.address, row["state"])

    @rule(place=PLACES, account=ACCOUNTS)
    def somebody_is_answered(self, place: int, account: int) -> None:
        person = self.person(place)
        draft = Draft(self.accounts[account], person.id, "Hello yourself")
        wanted = person.may_get(MessageKind.REPLY, person.address, now())
        try:
            message = self.inside(lambda tx: door.api.accept(tx, draft))
        except NotSendable:
            assert not wanted
        else:
            assert wanted
            self.messages[message.id] = Message(person, MessageKind.REPLY, person.address)

    @rule(days=st.sampled_from([1, 2]))
    def time_passes(self, days: int) -> None:
        self.later += timedelta(days=days)

    # What happens to people, alone or against an authorisation.

    def _change(self, kind: str, place: int, account: int, days: int) -> Change:
        person, other = self.person(place), self.person(place + 1)
        town = self.town
        changes: dict[str, Callable[[], Change]] = {
            "says": lambda: town.says(person, now() + timedelta(days=days) if days else None),
            "called": lambda: town.is_opted_out(person),
            "listed": lambda: town.is_blocked(person),
            "moved": lambda: town.moves(person, hand_over=False),
            "handed over": lambda: town.moves(person, hand_over=True),
        }
        if person is not other:
            changes["merged"] = lambda: town.merges(person, other)
            changes["erased"] = lambda: town.is_erased(person)
        text = kind if kind in ("STOP", "START") else "Hello"
        return changes.get(kind, lambda: town.writes(person, text, self.accounts[account]))()

    def _look_around(self, change: Change) -> None:
        """After a change: which address the product chose, and the confirmation that it made."""
        for person in self.town.living:
            if person.others:  # of several addresses the product chooses one
                query = select(contact.c.peers["telegram"].astext).where(contact.c.id == person.id)
                every, chosen = person.addresses, self.inside(partial(self._scalar, query))
                person.address, person.others = chosen, sorted(every - {chosen})
        rows = self.inside(lambda tx: tx.all("SELECT id, kind, peer, contact_id FROM platforms.message"))
        new = [row for row in rows if row["id"] not in self.messages]
        assert [row["contact_id"] for row in new] == ([change.confirms.id] if change.confirms else [])
        for row in new:
            assert change.confirms is not None
            assert row["kind"] == MessageKind.CONFIRMATION
            self.messages[row["id"]] = Message(change.confirms, MessageKind.CONFIRMATION, row["peer"])

    @staticmethod
    async def _scalar(query: Any, tx: door.Tx) -> Any:
        return await tx.scalar(query)

    def _happens(self, change: Change) -> None:
        self.inside(change.work)
        change.after()
        self._look_around(change)

    @rule(kind=st.sampled_from(CHANGES), place=PLACES, account=ACCOUNTS, days=DAYS)
    def something_happens(self, kind: str, place: int, account: int, days: int) -> None:
        self._happens(self._change(kind, place, account, days))

    @rule(
        kind=st.sampled_from(CHANGES), place=PLACES, account=ACCOUNTS, days=DAYS, commits=st.booleans(),
        sending=ACCOUNTS,
    )  # fmt: skip
    def something_happens_first(
        self, kind: str, place: int, account: int, days: int, commits: bool, sending: int
    ) -> None:
        """An authorisation begins while the change has not committed yet."""
        change = self._change(kind, place, account, days)
        self.world.run(self._change_first(change, self.accounts[sending], commits=commits))
        if commits:
            self._look_around(change)

    async def _change_first(self, change: Change, account: UUID, *, commits: bool) -> None:
        rows = await self.world.inside(self.tenant, lambda tx: door.due(tx, account))
        at = self.at
        before = self._expected(rows, at)
        async with self.world.ending(self.tenant, commits=commits) as tx:
            await change.work(tx)
            work = self.world.inside(self.tenant, lambda tx: self._authorise(tx, rows, at))
            authorising = asyncio.create_task(work)
            waited = await self.world.blocked(authorising)
        ready = await authorising
        if commits:
            change.after()
        self._authorised(rows, ready, self._expected(rows, at) if waited else before)

    @rule(
        kind=st.sampled_from(CHANGES), place=PLACES, account=ACCOUNTS, days=DAYS, commits=st.booleans(),
        sending=ACCOUNTS,
    )  # fmt: skip
    def something_happens_after(
        self, kind: str, place: int, account: int, days: int, commits: bool, sending: int
    ) -> None:
        """It begins when an authorisation was made and has not committed yet."""
        change = self._change(kind, place, account, days)
        self.world.run(self._authorise_first(change, self.accounts[sending], commits=commits))
        self._look_around(change)

    async def _authorise_first(self, change: Change, account: UUID, *, commits: bool) -> None:
        rows = await self.world.inside(self.tenant, lambda tx: door.due(tx, account))
        at = self.at
        expected = self._expected(rows, at)
        async with self.world.ending(self.tenant, commits=commits) as tx:
            ready = await self._authorise(tx, rows, at)
            changing = asyncio.create_task(self.world.inside(self.tenant, change.work))
            waited = await self.world.blocked(changing)
        await changing
        if commits:
            self._authorised(rows, ready, expected)
        change.after()
        if commits and not waited:
            assert {item.row.id for item in ready} <= self._expected(rows, at), "the change had committed before"

    # What leaves.

    async def _authorise(self, tx: door.Tx, rows: Sequence[Any], at: datetime) -> list[door.Ready]:
        return await door.authorise(tx, self.worker, rows, self.epochs, at)

    def _expected(self, rows: Sequence[Any], at: datetime) -> set[UUID]:
        messages = {row.id: self.messages[row.id] for row in rows}
        return {key for key, one in messages.items() if one.person.may_get(one.kind, one.peer, at)}

    def _authorised(self, rows: Sequence[Any], ready: Sequence[door.Ready], expected: set[UUID]) -> None:
        assert {item.row.id for item in ready} == expected
        for row in rows:
            self.messages[row.id].state = "sending" if row.id in expected else "suppressed"
        self.flying.update({item.row.id: item for item in ready})

    @rule(account=ACCOUNTS)
    def messages_leave(self, account: int) -> None:
        rows = self.inside(lambda tx: door.due(tx, self.accounts[account]))
        at = self.at
        ready = self.inside(lambda tx: self._authorise(tx, rows, at))
        self._authorised(rows, ready, self._expected(rows, at))

    @precondition(lambda self: self.flying)
    @rule()
    def their_outcome_is_unknown(self) -> None:
        """They would be sent again with the same key, so it is asked again whether they may."""
        flying, at = list(self.flying.values()), self.at
        allowed = self.inside(lambda tx: door.recheck(tx, self.worker, flying, at))
        assert {item.row.id for item in allowed} == self._expected([item.row for item in flying], at)
        for item in flying:
            if item not in allowed:
                self.messages[item.row.id].state = "unknown"
                del self.flying[item.row.id]

    @precondition(lambda self: self.flying)
    @rule()
    def they_arrive(self) -> None:
        for key, item in self.flying.items():
            settle = partial(door.settle, message=key, epoch=item.epoch, state=MessageState.SENT, platform_id=str(key))
            assert self.inside(settle)
            self.messages[key].state = "sent"
        self.flying.clear()

    @invariant()
    def the_ledger_is_as_modelled(self) -> None:
        rows = self.inside(lambda tx: tx.all("SELECT id, state FROM platforms.message"))
        assert {row["id"]: row["state"] for row in rows} == {key: one.state for key, one in self.messages.items()}

    @invariant()
    def people_are_as_modelled(self) -> None:
        rows = self.inside(lambda tx: tx.all(select(contact.c.id).where(contact.c.opted_out_at.isnot(None))))
        out = {row["id"] for row in rows}
        assert all((person.id in out) == person.out for person in self.town.living)

    @invariant()
    def nobody_else_is_touched(self) -> None:
        async def look(tx: door.Tx) -> Any:
            return await tx.first(
                "SELECT (SELECT count(*) FROM audience.contact WHERE opted_out_at IS NOT NULL) AS out, "
                "(SELECT count(*) FROM audience.suppression) AS blocked, (SELECT count(*) FROM platforms.message) AS m"
            )

        assert dict(self.world.run(self.world.inside(self.stranger, look))) == {"out": 0, "blocked": 0, "m": 0}


@pytest.fixture(autouse=True)
def machine(world: World) -> type[OptOutMachine]:
    OptOutMachine.world = world
    return OptOutMachine


def test_opt_out_against_authorise() -> None:
    check(OptOutMachine, examples=20)


def test_the_machine_notices_contacts_that_are_not_locked() -> None:
    with planted_text(*door.STANDING_TEXT, " FOR SHARE", ""):
        check_notices(OptOutMachine)


def test_the_machine_notices_an_opt_out_that_is_not_looked_at() -> None:
    with planted(door.REFUSAL, "    return standing.reason\n", "    return None\n"):
        check_notices(OptOutMachine)


def test_the_machine_notices_an_address_that_is_not_the_person_s_any_more() -> None:
    with planted(door.STRAYED, "not in known", "in set()"):
        check_notices(OptOutMachine)


def test_the_machine_notices_a_confirmation_of_every_stop() -> None:
    with planted(door.HEED, "if first:", "if True:"):
        check_notices(OptOutMachine)
