"""Campaigns: whatever their authors, the planner and the platform do, and whenever the process dies in between.

While a campaign is paused nothing of it enters `sending`; once it is cancelled nothing of it waits; everybody of the
audience is in the ledger once, and the counts say what the ledger says.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from carillon.kernel.subject import system_subject
from carillon.platforms.delivery.contracts import MessageState
from carillon.scheduling.campaigns import api
from carillon.scheduling.campaigns.contracts import Campaign, CampaignState, Guards
from carillon.scheduling.campaigns.errors import WrongState
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_account, add_people

from . import door
from .running import Step, check, check_notices, planted
from .world import World, now

PEOPLE, SILENT, SLICE = 8, 2, 4
OUTCOMES = ("message.changed", "campaign_messages.sent")
OPEN = (CampaignState.PLANNING, CampaignState.RUNNING)
GUARDS = {
    False: Guards(failure_rate=None, opt_out_rate=None),
    True: Guards(failure_rate=0.5, opt_out_rate=None, minimum=2),
}
PLACES = st.integers(0, 2)


class Died(BaseException):
    """The process that plans ends here."""


@dataclass
class Known:
    """A campaign as the model has it."""

    id: UUID
    guarded: bool
    state: CampaignState = CampaignState.PLANNING
    planned: bool = False
    judged_from: Counter[str] = field(default_factory=Counter)
    messages: dict[UUID, str] = field(default_factory=dict)

    def after(self, act: str) -> CampaignState | None:
        """The state that an author's act leads to; None when it must be refused."""
        if act == "pause":
            return CampaignState.PAUSED if self.state in OPEN else None
        if act == "resume":
            going = CampaignState.RUNNING if self.planned else CampaignState.PLANNING
            return going if self.state is CampaignState.PAUSED else None
        return CampaignState.CANCELLED if self.state in (*OPEN, CampaignState.PAUSED) else None

    def becomes(self, state: CampaignState) -> None:
        if self.state is CampaignState.PAUSED and state in OPEN:
            self.judged_from = Counter(self.messages.values())
        self.state = state
        if state is CampaignState.CANCELLED:
            waiting = [key for key, one in self.messages.items() if one == "queued"]
            self.messages.update(dict.fromkeys(waiting, "cancelled"))

    def judged(self) -> CampaignState:
        """What the clock makes of it."""
        counts = Counter(self.messages.values())
        failed = counts["failed"] - self.judged_from["failed"]
        attempted = failed + counts["sent"] - self.judged_from["sent"]
        if self.state not in OPEN:
            return self.state
        if self.planned and not counts["queued"] + counts["sending"]:
            return CampaignState.FINISHED
        if self.guarded and attempted >= 2 and failed / attempted > 0.5:
            return CampaignState.PAUSED
        return self.state


class CampaignMachine(RuleBasedStateMachine):
    world: ClassVar[World]

    @initialize(guarded=st.booleans())
    def begin(self, guarded: bool) -> None:
        self.known: list[Known] = []
        self.flying: dict[UUID, door.Ready] = {}
        self.read_ahead: Sequence[Any] = ()
        self.world.run(self._begin())
        self.a_campaign_starts(guarded)
        self.planning_dies(0, 1, inside=False)

    async def _begin(self) -> None:
        self.tenant = await self.world.new_tenant()
        self.heard = (0, 0)
        self.subject = system_subject(self.tenant)
        async with self.world.transaction(self.tenant) as tx:
            account = await add_account(tx)
            await add_people(tx, PEOPLE - SILENT)
            await add_people(tx, SILENT, consents={})
        async with self.world.database.across_tenants() as tx:
            self.worker = await door.enlist(tx, "worker")
            self.epochs = {lease.account_id: lease.epoch for lease in await door.leases.claim(tx, self.worker, 1)}
        await self.world.owner.execute("UPDATE platforms.worker SET expires_at = now() + interval '1 hour'")
        self.account = account

    def inside(self, work: Callable[[door.Tx], Awaitable[Any]]) -> Any:
        return self.world.run(self.world.inside(self.tenant, work))

    def campaign(self, place: int) -> Known:
        return self.known[place % len(self.known)]

    # Authors.

    @precondition(lambda self: len(self.known) < 3)
    @rule(guarded=st.booleans())
    def a_campaign_starts(self, guarded: bool) -> None:
        draft = campaigns.draft(guards=GUARDS[guarded])
        made = self.inside(lambda tx: api.create(tx, self.subject, draft))
        self._starts(made, guarded)

    @precondition(lambda self: len(self.known) < 3)
    @rule(place=PLACES)
    def a_campaign_is_cloned(self, place: int) -> None:
        known = self.campaign(place)
        self._starts(self.inside(lambda tx: api.clone(tx, self.subject, known.id)), known.guarded)

    def _starts(self, made: Campaign, guarded: bool) -> None:
        assert made.state is CampaignState.DRAFT
        self.inside(lambda tx: api.start(tx, self.subject, made.id))
        self.known.append(Known(made.id, guarded))

    async def _do(self, act: str, known: Known, tx: door.Tx) -> None:
        match act:
            case "pause":
                await api.pause(tx, known.id)
            case "resume":
                await api.resume(tx, self.subject, known.id)
            case _:
                await api.cancel(tx, self.subject, known.id)

    @rule(place=PLACES, act=st.sampled_from(["pause", "resume", "resume", "cancel"]))
    def an_author_acts(self, place: int, act: str) -> None:
        known = self.campaign(place)
        after = known.after(act)
        if after is None:
            with pytest.raises(WrongState):
                self.inside(partial(self._do, act, known))
        else:
            self.inside(partial(self._do, act, known))
            known.becomes(after)

    # The planner.

    @rule(place=PLACES, slices=st.integers(0, 2), inside=st.booleans())
    def planning_dies(self, place: int, slices: int, inside: bool) -> None:
        """After so many slices: in the next one before it commits, or before it begins."""
        known = self.campaign(place)
        self._plan(known, slices, inside=inside)
        self._learn(known)

    @rule(place=PLACES)
    def planning_ends(self, place: int) -> None:
        known = self.campaign(place)
        self._plan(known, 100, inside=False)
        known.planned |= known.state is CampaignState.PLANNING
        if known.state is CampaignState.PLANNING:
            known.state = CampaignState.RUNNING
        self._learn(known)
        if known.planned:
            assert len(known.messages) == PEOPLE

    def _plan(self, known: Known, slices: int, *, inside: bool) -> None:
        left, plan_slice = slices, door.slices_of(SLICE)

        async def dying(tx: door.Tx, plan: Any, after: UUID | None) -> Any:
            nonlocal left
            left -= 1
            if left < 0 and not inside:
                raise Died
            step = await plan_slice(tx, plan, after)
            if left < 0:
                raise Died
            return step

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door.api, "plan_slice", dying)
            try:
                self.world.run(api.plan(self.world.resources, self.tenant, known.id))
            except Died:
                return

    def _learn(self, known: Known) -> None:
        """The new rows: of people who may be written to queued, of the others suppressed."""
        found = self.inside(lambda tx: api.get(tx, known.id))
        if known.state is CampaignState.PLANNING and found.planning_done:
            known.state, known.planned = CampaignState.RUNNING, True
        rows = self.inside(
            lambda tx: tx.all("SELECT id, state FROM platforms.message WHERE lane = :l", {"l": known.id})
        )
        new = {row["id"]: row["state"] for row in rows if row["id"] not in known.messages}
        assert not new or known.state in OPEN
        known.messages.update(new)
        assert set(new.values()) <= {"queued", "suppressed"}

    # The platform.

    @rule(most=st.integers(1, 4))
    def rows_are_read(self, most: int) -> None:
        """They may be out of date when they are authorised."""
        self.read_ahead = self.inside(lambda tx: door.due(tx, self.account, most))

    async def _authorise(self, tx: door.Tx, rows: Sequence[Any]) -> list[door.Ready]:
        return await door.authorise(tx, self.worker, rows, self.epochs, now())

    def _known_of(self, lane: UUID) -> Known:
        return next(one for one in self.known if one.id == lane)

    def _authorised(self, ready: Sequence[door.Ready]) -> None:
        for item in ready:
            known = self._known_of(item.row.lane)
            assert known.state in OPEN, f"entered sending while {known.state}"
            assert known.messages[item.row.id] == "queued"
            known.messages[item.row.id] = "sending"
            self.flying[item.row.id] = item

    @rule()
    def they_leave(self) -> None:
        rows, self.read_ahead = self.read_ahead, ()
        waiting = [row for row in rows if self._known_of(row.lane).messages[row.id] == "queued"]
        wanted = [row.id for row in waiting if self._known_of(row.lane).state in OPEN]
        ready = self.inside(lambda tx: self._authorise(tx, rows))
        assert {item.row.id for item in ready} == set(wanted)
        self._authorised(ready)

    @property
    def leaving(self) -> list[Known]:
        """Campaigns that have something to send."""
        return [known for known in self.known if known.state in OPEN and "queued" in known.messages.values()]

    @precondition(lambda self: self.leaving)
    @rule(place=PLACES, act=st.sampled_from(["pause", "pause", "cancel"]), first=st.booleans())
    def a_stop_meets_an_authorisation(self, place: int, act: str, first: bool) -> None:
        """Both are under way at once; the one that is second waits for the first to commit."""
        known = self.leaving[place % len(self.leaving)]
        after = known.after(act)
        assert after is not None
        rows = [row for row in self.inside(lambda tx: door.due(tx, self.account)) if row.lane == known.id][:3]
        stop, leave = partial(self._do, act, known), partial(self._authorise, rows=rows)
        waited, stopped, ready = self.world.run(self._race(stop, leave) if first else self._race(leave, stop))
        if not first:
            stopped, ready = ready, stopped
        assert stopped is None
        own = [item for item in ready if item.row.lane == known.id]
        if first:
            assert not own or not waited, "it was paused when this entered sending"
        else:
            assert waited or not own, "the pause did not wait for what was entering sending"
        self._authorised(ready)
        known.becomes(after)

    async def _race(self, one: Callable[[door.Tx], Awaitable[Any]], other: Callable[[door.Tx], Awaitable[Any]]) -> Any:
        async with self.world.transaction(self.tenant) as tx:
            first = await one(tx)
            second = asyncio.create_task(self.world.inside(self.tenant, other))
            waited = await self.world.blocked(second)
        return waited, first, await second

    @precondition(lambda self: self.flying)
    @rule(outcome=st.sampled_from([MessageState.SENT, MessageState.FAILED, MessageState.FAILED, MessageState.QUEUED]))
    def an_attempt_ends(self, outcome: MessageState) -> None:
        """`queued`: the platform certainly did not take it, so it goes back, unless its campaign is over."""
        key, item = self.flying.popitem()
        known = self._known_of(item.row.lane)
        values = {"platform_id": str(key), "at": now()} if outcome is MessageState.SENT else {}
        assert self.inside(lambda tx: door.settle(tx, key, item.epoch, outcome, **values))
        known.messages[key] = outcome.value

    @rule()
    def the_clock_ticks(self) -> None:
        self.inside(self._hear)
        after = [known.judged() for known in self.known]
        self.world.run(api.tick(self.world.resources))
        for known, state in zip(self.known, after, strict=True):
            known.becomes(state)

    async def _hear(self, tx: door.Tx) -> None:
        """Count the outcomes that were told since, as their consumer does."""
        found = await door.read_events(tx, self.heard, OUTCOMES)
        if found:
            await api.count_outcomes(tx, found)
            self.heard = (found[-1].xid, found[-1].position)

    # What holds after every step.

    @invariant()
    def campaigns_are_as_modelled(self) -> None:
        async def look(tx: door.Tx) -> None:
            for known in self.known:
                found, funnel = await api.get(tx, known.id), await api.funnel(tx, known.id)
                assert (found.state, found.planning_done) == (known.state, known.planned)
                states = Counter({state.value: count for state, count in funnel.states.items()})
                assert states == Counter(known.messages.values())
                assert states.total() == found.planned + sum(found.excluded.values()), "everybody is counted, and once"
            rows = await tx.all("SELECT lane, contact_id FROM platforms.message")
            assert len({(row["lane"], row["contact_id"]) for row in rows}) == len(rows), "one message for each person"

        self.inside(look)

    def teardown(self) -> None:
        """Whatever has happened, the next run of the planner plans everybody who is missing."""
        if sys.exc_info()[0] is not None:
            return
        for place, known in enumerate(self.known):
            if known.state is CampaignState.PAUSED:
                self.an_author_acts(place, "resume")
            self.planning_ends(place)
        self.the_clock_ticks()
        self.campaigns_are_as_modelled()
        for known in self.known:
            assert known.state is not CampaignState.CANCELLED or "queued" not in known.messages.values()


@pytest.fixture(autouse=True)
def machine(world: World) -> type[CampaignMachine]:
    CampaignMachine.world = world
    return CampaignMachine


def test_campaigns() -> None:
    check(CampaignMachine, examples=12)


BEGIN: Step = ("begin", {"guarded": False})
LEAVE: list[Step] = [("rows_are_read", {"most": 1}), ("they_leave", {})]


def acts(act: str) -> Step:
    return "an_author_acts", {"place": 0, "act": act}


def test_the_machine_notices_a_gate_that_is_not_locked() -> None:
    race: Step = ("a_stop_meets_an_authorisation", {"place": 0, "act": "pause", "first": False})
    check_notices(CampaignMachine, planted(door.RUNNING_LANES, "FOR SHARE", ""), BEGIN, race)


def test_the_machine_notices_a_gate_that_is_not_looked_at() -> None:
    fault = planted(door.RUNNING_LANES, "AND state = 'running' ", "")
    check_notices(CampaignMachine, fault, BEGIN, LEAVE[0], acts("pause"), LEAVE[1])


def test_the_machine_notices_a_slice_that_is_not_counted() -> None:
    fault = planted(door.SLICE, "campaign.planned + step.planned", "campaign.planned or step.planned")
    check_notices(CampaignMachine, fault, BEGIN, ("planning_ends", {"place": 0}))


def test_the_machine_notices_what_comes_back_to_a_cancelled_campaign() -> None:
    fault = planted(door.LOOK, "await delivery.close_lane(tx, campaign_id)", "pass")
    back: Step = ("an_attempt_ends", {"outcome": MessageState.QUEUED})
    check_notices(CampaignMachine, fault, BEGIN, *LEAVE, acts("cancel"), back, ("the_clock_ticks", {}))
