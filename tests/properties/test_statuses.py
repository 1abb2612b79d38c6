"""Statuses: in whatever order, number and batches they come, before and after our own answer, the end is the same."""

import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from carillon.platforms.connectors.port import Status, StatusUpdate
from carillon.platforms.delivery.contracts import MessageState
from tests.fixtures.delivery import add_account, add_people, make_plan

from . import door
from .running import Step, check, check_notices, planted, planted_text
from .world import World, now

START = datetime(2026, 1, 1, tzinfo=UTC)
RANK = {"sending": 0, "unknown": 1, "sent": 2, "failed": 3, "delivered": 4, "read": 5}


@dataclass
class Message:
    """A message, and everything that was ever said of it by whoever may.

    Attributes:
        answer: What our own call returned: when the platform took it; None until then, or if the answer was lost.
        named: The platform told us its id, by a status or by our own answer.
    """

    id: UUID
    account: UUID
    epoch: int
    answer: datetime | None = None
    lost: bool = False
    statuses: list[StatusUpdate] = field(default_factory=list)
    seen: str = "sending"

    @property
    def platform_id(self) -> str:
        return f"p-{self.id}"

    @property
    def named(self) -> bool:
        return self.answer is not None or any(one.message_id and one.platform_id for one in self.statuses)

    @property
    def known(self) -> list[StatusUpdate]:
        """Those of which we can know whom they are about."""
        return [one for one in self.statuses if one.message_id or self.named]

    def end(self) -> dict[str, Any]:
        """The row, from all that was said: sorted, the last word counts; of times, the first."""
        known = self.known
        times = defaultdict(list)
        for one in known:
            times[one.status].append(one.at)
        states = [one.status.value for one in known] + ["sent"] * bool(self.answer)
        state = max(states, key=RANK.__getitem__, default="unknown" if self.lost else "sending")
        sent = [*times[Status.SENT], *([self.answer] if self.answer else [])]
        return {
            "state": state,
            "sent_at": min(sent, default=None),
            "delivered_at": min(times[Status.DELIVERED], default=None),
            "read_at": min(times[Status.READ], default=None),
            "reason": {"failed": "recipient", "unknown": "uncertain"}.get(state),
            "platform_id": self.platform_id if self.named else None,
        }


@st.composite
def reports(draw: st.DrawFn) -> tuple[int, Status, int, bool, bool, bool]:
    """Which message, what, after how many minutes, named by our id and/or the platform's, to the wrong account."""
    ours, theirs = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    status = draw(st.sampled_from(Status))
    return draw(st.integers(0, 2)), status, draw(st.integers(0, 9)), ours, theirs, draw(st.integers(0, 5)) == 5


_TOLD = """
SELECT coalesce(e.payload ->> 'message_id', sent.id) AS id, coalesce(e.payload ->> 'state', 'sent') AS state
FROM events.event e
LEFT JOIN LATERAL (
    SELECT one.id FROM jsonb_each(e.payload -> 'messages') AS a, jsonb_array_elements_text(a.value) AS one (id)
) AS sent ON e.type = 'campaign_messages.sent'
WHERE e.tenant_id = $1 AND e.type IN ('message.changed', 'campaign_messages.sent')
ORDER BY e.xid, e.position
"""


class StatusMachine(RuleBasedStateMachine):
    world: ClassVar[World]

    @initialize()
    def begin(self) -> None:
        self.world.run(self._begin())

    async def _begin(self) -> None:
        self.tenant = await self.world.new_tenant()
        async with self.world.transaction(self.tenant) as tx:
            self.accounts = [await add_account(tx) for _ in range(2)]
            await add_people(tx, 3)
            await door.plan(tx, make_plan(self.tenant, self.accounts[:1]))
        async with self.world.database.across_tenants() as tx:
            worker = await door.enlist(tx, "worker")
            epochs = {lease.account_id: lease.epoch for lease in await door.leases.claim(tx, worker, 2)}
        async with self.world.transaction(self.tenant) as tx:
            ready = await door.authorise(tx, worker, await door.due(tx, self.accounts[0]), epochs, now())
        self.messages = [Message(one.row.id, one.row.account_id, one.epoch) for one in ready]
        assert len(self.messages) == 3

    def inside(self, work: Callable[[door.Tx], Awaitable[Any]]) -> Any:
        return self.world.run(self.world.inside(self.tenant, work))

    @rule(batch=st.lists(reports(), min_size=1, max_size=6), again=st.booleans())
    def statuses_come(self, batch: list[tuple[int, Status, int, bool, bool, bool]], again: bool) -> None:
        """Some twice, some addressed to an account that has never sent the message."""
        for wrong in (False, True):
            updates = [self._update(*one[:5], wrong=wrong) for one in batch if one[5] is wrong]
            for _ in range(1 + again if updates else 0):
                account = self.accounts[1 if wrong else 0]
                self.inside(partial(door.report, account=account, updates=updates))

    def _update(
        self, place: int, status: Status, minutes: int, ours: bool, theirs: bool, *, wrong: bool
    ) -> StatusUpdate:
        message = self.messages[place]
        failed = status is Status.FAILED
        update = StatusUpdate(
            status=status,
            at=START + timedelta(minutes=minutes),
            message_id=message.id if ours else None,
            platform_id=message.platform_id if theirs else None,
            error_class="recipient" if failed else None,
            error_text="No such number." if failed else None,
        )
        if not wrong:
            message.statuses.append(update)
        return update

    @rule(place=st.integers(0, 2), minutes=st.integers(0, 9))
    def our_call_returns(self, place: int, minutes: int) -> None:
        message = self.messages[place]
        if message.answer is None and not message.lost:
            message.answer = START + timedelta(minutes=minutes)
            at, platform_id = message.answer, message.platform_id
            self._settle(message, MessageState.SENT, platform_id=platform_id, at=at)

    @rule(place=st.integers(0, 2))
    def our_call_is_lost(self, place: int) -> None:
        message = self.messages[place]
        if message.answer is None and not message.lost:
            message.lost = True
            self._settle(message, MessageState.UNKNOWN, reason="uncertain")

    def _settle(self, message: Message, state: MessageState, **values: Any) -> None:
        self.inside(lambda tx: door.settle(tx, message.id, message.epoch, state, **values))

    @rule()
    def the_ledger_is_swept(self) -> None:
        self.world.run(door.api.sweep(self.world.resources))

    @rule(place=st.integers(0, 2), minutes=st.integers(0, 9), status=st.sampled_from([Status.DELIVERED, Status.READ]))
    def a_status_crosses_our_answer(self, place: int, minutes: int, status: Status) -> None:
        """Both are written at once, and neither transaction sees the other."""
        message = self.messages[place]
        if message.named or message.lost:
            return
        update = self._update(place, status, minutes, False, True, wrong=False)
        message.answer = START + timedelta(minutes=minutes)

        async def cross(tx: door.Tx) -> None:
            await door.report(tx, message.account, [update])
            async with self.world.transaction(self.tenant) as other:
                sent, at = MessageState.SENT, message.answer
                await door.settle(other, message.id, message.epoch, sent, platform_id=message.platform_id, at=at)

        self.inside(cross)

    @invariant()
    def every_move_goes_up_and_is_told_once(self) -> None:
        rows = self._rows()
        told = self._told()
        for message in self.messages:
            state = rows[message.id]["state"]
            assert RANK[state] >= RANK[message.seen], "nothing is taken back"
            message.seen = state
            ranks = [RANK[one] for one in ["sending", *told[message.id]]]
            assert ranks == sorted(set(ranks)), "each move is one event, and goes up"
            assert told[message.id][-1:] == ([state] if state != "sending" else [])

    def _told(self) -> dict[UUID, list[str]]:
        rows = self.world.run(
            self.world.owner.fetch(
                _TOLD,
                self.tenant,
            )
        )
        told: dict[UUID, list[str]] = defaultdict(list)
        for row in rows:
            told[UUID(row["id"])].append(row["state"])
        return told

    def _rows(self) -> dict[UUID, Any]:
        rows: Sequence[Any] = self.inside(lambda tx: tx.all("SELECT * FROM platforms.message"))
        return {row["id"]: row for row in rows}

    def teardown(self) -> None:
        """At the end, after the ledger was swept: the row that all of it makes, however it came."""
        if sys.exc_info()[0] is not None:
            return
        self.the_ledger_is_swept()
        rows = self._rows()
        for message in self.messages:
            end = message.end()
            assert {name: rows[message.id][name] for name in end} == end


@pytest.fixture(autouse=True)
def machine(world: World) -> type[StatusMachine]:
    StatusMachine.world = world
    return StatusMachine


def test_statuses() -> None:
    check(StatusMachine, examples=30, steps=12)


BEGIN: Step = ("begin", {})
RETURN: Step = ("our_call_returns", {"place": 0, "minutes": 2})


def come(status: Status, minutes: int = 1, *, wrong: bool = False) -> Step:
    return "statuses_come", {"batch": [(0, status, minutes, True, False, wrong)], "again": False}


def test_the_machine_notices_a_state_that_goes_down() -> None:
    fault = planted_text(*door.STATUS_TEXT, "state = CASE WHEN n.rank >", "state = CASE WHEN n.rank <>")
    check_notices(StatusMachine, fault, BEGIN, come(Status.READ), come(Status.SENT))


def test_the_machine_notices_the_last_time_instead_of_the_first() -> None:
    fault = planted_text(*door.STATUS_TEXT, "delivered_at = least(", "delivered_at = greatest(")
    check_notices(StatusMachine, fault, BEGIN, come(Status.DELIVERED, 1), come(Status.DELIVERED, 2))


def test_the_machine_notices_somebody_else_s_account() -> None:
    join, condition = " AND news.account_id = m.account_id", " AND m.account_id = n.account_id"
    with planted_text(*door.STATUS_TEXT, join, ""):
        fault = planted_text(*door.STATUS_TEXT, condition, "")
        check_notices(StatusMachine, fault, BEGIN, come(Status.READ, wrong=True))


def test_the_machine_notices_an_answer_that_takes_a_status_back() -> None:
    kept = "state = CASE WHEN m.state = 'sending' THEN 'sent' ELSE m.state END"
    fault = planted_text(*door.SETTLE_SENT_TEXT, kept, "state = 'sent'")
    check_notices(StatusMachine, fault, BEGIN, come(Status.READ), RETURN)


def test_the_machine_notices_statuses_that_cross_and_are_forgotten() -> None:
    fault = planted(door.SWEEP, "await statuses.merge_late(resources)", "pass")
    crossing: Step = ("a_status_crosses_our_answer", {"place": 0, "minutes": 1, "status": Status.DELIVERED})
    check_notices(StatusMachine, fault, BEGIN, crossing)


def test_the_machine_notices_a_move_that_is_told_twice() -> None:
    fault = planted(door.SETTLE, " if ready.row.id not in known", "")
    check_notices(StatusMachine, fault, BEGIN, come(Status.SENT), RETURN)
