"""The planner is idempotent: any slices, kills and repetitions leave what one undisturbed run would have written."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audience.consents import api as consents
from carillon.platforms.delivery.contracts import Plan, Variant
from tests.fixtures.delivery import add_account, add_people, make_plan

from . import door
from .running import hasty, planted, thorough
from .world import World, now

_LATER, _BEFORE = timedelta(days=9), timedelta(days=-9)


def _granted(until: timedelta | None) -> dict[str, Any]:
    ends = until and (now() + until).isoformat(timespec="seconds")
    return {"marketing": {"*": {"status": "granted", "until": ends, "at": now().isoformat()}}}


KINDS: dict[str, dict[str, Any]] = {
    "agreed": {"consents": _granted(None)},
    "agreed for a while": {"consents": _granted(_LATER)},
    "agreed once": {"consents": _granted(_BEFORE)},
    "said nothing": {"consents": {}},
    "opted out": {"consents": _granted(None), "opted_out_at": now()},
    "has no address": {"consents": _granted(None), "peers": {}},
    "has a name": {"consents": _granted(None), "first_name": "Ada", "language": "de"},
}
VARIANTS = [Variant("A", 3, {"": "Hi {{ first_name }}", "de": "Hallo"}), Variant("B", 1, {"": "Hello"})]

crowds = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12)
runs = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4), st.booleans()), min_size=1, max_size=6)
"""Runs of the planner: the size of its slices, after how many it ends, and whether it starts from the beginning."""


async def plan_roughly(world: World, plan: Plan, tenant: UUID, rough: Sequence[tuple[int, int, bool]]) -> int:
    """Run after run, each killed inside a slice, then one to the end; returns how many rows the runs reported."""
    await world.inside(tenant, lambda tx: door.api.write_contents(tx, plan))
    written, after = 0, None
    for size, slices, anew in [*rough, (3, 100, False)]:
        after = None if anew else after
        done, left = False, slices
        while not done and left >= 0:
            async with world.ending(tenant, commits=left > 0) as tx:
                step = await door.slices_of(size)(tx, plan, after)
            if left > 0:
                written += step.planned + sum(step.suppressed.values())
                after, done = step.after, step.done
            left -= 1
    return written


async def rows_of(world: World, tenant: UUID, plan: Plan) -> dict[UUID, tuple[Any, ...]]:
    found = await world.owner.fetch(
        "SELECT m.*, c.text FROM platforms.message m LEFT JOIN platforms.content c ON c.id = m.content_id "
        "WHERE m.tenant_id = $1 AND m.lane = $2",
        tenant,
        plan.campaign_id,
    )
    names = ("account_id", "variant", "text", "state", "reason", "platform", "peer", "due_at")
    assert len({row["contact_id"] for row in found}) == len(found), "one message for each person"
    return {row["contact_id"]: tuple(row[name] for name in names) for row in found}


async def check(world: World, crowd: Sequence[str], rough: Sequence[tuple[int, int, bool]]) -> None:
    tenant = await world.new_tenant()
    async with world.transaction(tenant) as tx:
        accounts = [await add_account(tx) for _ in range(3)]
        people = {(await add_people(tx, 1, **KINDS[kind]))[0]: kind for kind in crowd}
    plan = make_plan(tenant, accounts, variants=VARIANTS)
    review = await world.inside(tenant, lambda tx: door.api.review(tx, plan))
    written = await plan_roughly(world, plan, tenant, rough)
    found = await rows_of(world, tenant, plan)
    assert found.keys() == people.keys()
    assert written == len(people), "each row is counted once, by the run that committed it"
    _compare(found, people, review)
    # The same again changes nothing, and drawn anew the lots fall as before.
    assert await plan_roughly(world, plan, tenant, [(2, 100, True)]) == 0
    assert await rows_of(world, tenant, plan) == found
    await world.owner.execute("DELETE FROM platforms.message WHERE tenant_id = $1", tenant)
    await plan_roughly(world, plan, tenant, [])
    assert await rows_of(world, tenant, plan) == found


def _compare(found: dict[UUID, tuple[Any, ...]], people: dict[UUID, str], review: Any) -> None:
    """With the rules in Python, and with what the author was told before."""
    for person, (_, variant, text, state, reason, *_rest) in found.items():
        values = KINDS[people[person]]
        refusal = consents.verdict(
            values["consents"],
            opted_out_at=values.get("opted_out_at"),
            last_inbound_at=None,
            peer=values.get("peers", {"telegram": "here"}).get("telegram"),
            platform="telegram",
            purpose="marketing",
            at=now(),
        )
        named = "first_name" in values
        missing = None if named or variant == "B" else "missing_variable"
        assert (state, reason) == (("suppressed", refusal or missing) if refusal or missing else ("queued", None))
        assert refusal or text == ("Hello" if variant == "B" else "Hallo" if named else "Hi {{ first_name }}")
    states = Counter(row[3] for row in found.values())
    reasons = Counter(row[4] for row in found.values() if row[4])
    assert dict(review.excluded) == dict(reasons)
    assert sum(review.by_account.values()) == states["queued"]
    assert dict(review.by_account) == Counter(row[0] for row in found.values() if row[3] == "queued")


def test_planning_is_idempotent(world: World) -> None:
    @thorough(15)
    @given(crowds, runs)
    def plans(crowd: Sequence[str], rough: Sequence[tuple[int, int, bool]]) -> None:
        world.run(check(world, crowd, rough))

    plans()


@pytest.fixture
def notices(world: World) -> Callable[[], None]:
    """The check over faulty code: it must fail."""

    @hasty(20)
    @given(crowds, runs)
    def plans(crowd: Sequence[str], rough: Sequence[tuple[int, int, bool]]) -> None:
        world.run(check(world, crowd, rough))

    def failing() -> None:
        with pytest.raises(AssertionError):
            plans()

    return failing


def test_the_check_notices_somebody_between_two_slices(notices: Callable[[], None]) -> None:
    with planted(door.MEMBERS, "chosen.c.id <= last", "chosen.c.id < last"):
        notices()


def test_the_check_notices_lots_that_are_drawn_anew(notices: Callable[[], None]) -> None:
    with planted(door.PLACED, "_hash(judged.c.id, plan, 1)", "_hash(judged.c.id, plan, uuid7().int & 1023)"):
        notices()
