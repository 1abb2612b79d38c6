"""Merging two contacts, and taking it back."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Actor, ConsentEntry
from carillon.audience.contacts import api
from carillon.audience.contacts.contracts import Contact, FieldType
from carillon.audience.contacts.errors import AlreadyUndone, ContactGone, ContactNotFound, MergeImpossible
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from tests.fixtures.database import VAULT, make_tenant

from .test_contacts import change, make

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ACTOR = Actor("system")


@pytest.fixture
async def tx(app_resources: Resources, tenant: UUID) -> Any:
    async with app_resources.database.transaction(tenant) as opened:
        yield opened


async def merge(tx: Tx, winner: Contact, loser: Contact) -> Any:
    return await api.merge(tx, system_subject(tx.tenant), winner_id=winner.id, loser_id=loser.id)


async def unmerge(tx: Tx, merge_id: UUID) -> Any:
    return await api.unmerge(tx, system_subject(tx.tenant), merge_id, vault=VAULT)


async def say(tx: Tx, contact_id: UUID, action: str, days: int = 0, platform: str = "*") -> None:
    at = NOW + timedelta(days=days)
    entry = ConsentEntry(contact_id, "marketing", action, "form", at, ACTOR, platform, proof="form 1")
    await consents.record(tx, entry)


async def stop(tx: Tx, contact_id: UUID) -> None:
    at = datetime.now(UTC)
    await consents.opt_out(tx, VAULT, contact_id, source="message", proof=None, at=at, actor=ACTOR)


def apart_from_time(contact: Contact) -> dict[str, Any]:
    return {name: getattr(contact, name) for name in Contact.__slots__ if name != "updated_at"}


async def test_the_winner_takes_what_it_lacks(tx: Tx):
    winner = await make(tx, ("phone", "+4915123456789"), name="Ada", tags=["a"])
    loser = await make(tx, ("telegram_id", "7"), ("email", "a@x.org"), name="A.", last_name="Lovelace", tags=["b"])
    await merge(tx, winner, loser)
    result = await api.get(tx, winner.id)
    assert (result.name, result.last_name, result.tags) == ("Ada", "Lovelace", ("a", "b"))
    assert result.peers == {"telegram": "7", "whatsapp": "+4915123456789", "custom": "+4915123456789"}
    assert result.email == "a@x.org"
    gone = await api.get(tx, loser.id)
    assert (gone.merged_into, gone.peers, gone.identities) == (winner.id, {}, ())
    assert (await api.resolve(tx, vault=VAULT, platform="telegram", kind="telegram_id", value="7")).id == winner.id
    with pytest.raises(ContactGone):
        await change(tx, loser, name="x")


@pytest.mark.parametrize("who", ["winner", "loser"])
async def test_an_opt_out_of_either_opts_out_the_result(tx: Tx, who: str):
    people = {"winner": await make(tx, ("telegram_id", "1")), "loser": await make(tx, ("telegram_id", "2"))}
    other = people["loser" if who == "winner" else "winner"]
    await say(tx, other.id, "granted")
    await stop(tx, people[who].id)
    await merge(tx, people["winner"], people["loser"])
    assert (await api.get(tx, people["winner"].id)).opted_out_at is not None


async def test_consents_come_along_and_a_later_withdrawal_counts_for_both(tx: Tx):
    winner, loser = await make(tx, ("telegram_id", "1")), await make(tx, ("telegram_id", "2"))
    await say(tx, loser.id, "granted")
    made = await merge(tx, winner, loser)
    assert (await api.get(tx, winner.id)).consents["marketing"]["*"]["status"] == "granted"
    await say(tx, winner.id, "withdrawn", days=1)
    await unmerge(tx, made.id)
    for one in (winner, loser):
        assert (await api.get(tx, one.id)).consents["marketing"]["*"]["status"] == "withdrawn"


async def test_unmerging_never_lifts_a_later_opt_out(tx: Tx):
    winner, loser = await make(tx, ("telegram_id", "1")), await make(tx, ("telegram_id", "2"))
    made = await merge(tx, winner, loser)
    await stop(tx, winner.id)
    await unmerge(tx, made.id)
    for one in (winner, loser):
        assert (await api.get(tx, one.id)).opted_out_at is not None
    blocked = await consents.suppressed_among(tx, VAULT, [("telegram_id", "1"), ("telegram_id", "2")])
    assert len(blocked) == 2


async def test_unmerging_gives_an_opt_out_back_to_whose_it_was(tx: Tx):
    winner, loser = await make(tx, ("telegram_id", "1")), await make(tx, ("telegram_id", "2"))
    await stop(tx, loser.id)
    made = await merge(tx, winner, loser)
    await unmerge(tx, made.id)
    assert (await api.get(tx, winner.id)).opted_out_at is None
    assert (await api.get(tx, loser.id)).opted_out_at is not None


async def test_what_was_changed_since_stays(tx: Tx):
    winner, loser = await make(tx, name="", tags=["a"]), await make(tx, name="Ada", tags=["b"], language="de")
    made = await merge(tx, winner, loser)
    await change(tx, winner, name="Augusta", addresses=[("telegram_id", "9")])
    await unmerge(tx, made.id)
    after = await api.get(tx, winner.id)
    assert (after.name, after.tags, after.language) == ("Augusta", ("a",), None)
    assert after.peers == {"telegram": "9"}


async def test_only_the_last_merge_can_be_undone(tx: Tx):
    one, two, three = [await make(tx, name=name) for name in ("one", "two", "three")]
    first = await merge(tx, one, two)
    second = await merge(tx, one, three)
    with pytest.raises(MergeImpossible):
        await unmerge(tx, first.id)
    await unmerge(tx, second.id)
    await unmerge(tx, first.id)
    with pytest.raises(AlreadyUndone):
        await unmerge(tx, first.id)


async def test_impossible_merges(tx: Tx):
    one, two = await make(tx), await make(tx)
    with pytest.raises(MergeImpossible):
        await merge(tx, one, one)
    with pytest.raises(ContactNotFound):
        await api.merge(tx, system_subject(tx.tenant), winner_id=one.id, loser_id=uuid7())
    await merge(tx, one, two)
    with pytest.raises(MergeImpossible):
        await merge(tx, two, one)


people = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "Ada", "王"]),
        "first_name": st.sampled_from([None, "A"]),
        "language": st.sampled_from([None, "de", "zh-Hans"]),
        "time_zone": st.sampled_from([None, "Asia/Shanghai"]),
        "tags": st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
        "fields": st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"])),
        "phone": st.booleans(),
        "telegram": st.booleans(),
        "email": st.booleans(),
        "said": st.lists(
            st.tuples(st.sampled_from(["granted", "withdrawn"]), st.integers(0, 5), st.sampled_from(["*", "telegram"])),
            max_size=2,
        ),
        "stopped": st.booleans(),
        "inbound": st.sampled_from([None, 0, 3]),
    }
)


async def build(tx: Tx, number: int, plan: dict[str, Any]) -> Contact:
    addresses = []
    if plan["phone"]:
        addresses.append(("phone", f"+491512345678{number}"))
    if plan["telegram"]:
        addresses.append(("telegram_id", f"7{number}"))
    if plan["email"]:
        addresses.append(("email", f"p{number}@x.org"))
    names = ("name", "first_name", "language", "time_zone", "tags", "fields")
    made = await make(tx, *addresses, **{name: plan[name] for name in names})
    for action, days, platform in plan["said"]:
        await say(tx, made.id, action, days, platform)
    if plan["stopped"]:
        await stop(tx, made.id)
    if plan["inbound"] is not None:
        await api.touch_inbound(tx, {made.id: NOW + timedelta(days=plan["inbound"])})
    return await api.get(tx, made.id)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=people, two=people)
async def test_a_merge_and_its_undoing_change_nothing(
    app_resources: Resources, owner: Any, one: dict[str, Any], two: dict[str, Any]
):
    tenant = await make_tenant(owner)
    async with app_resources.database.transaction(tenant) as tx:
        for key in ("x", "y"):
            await api.define_field(tx, key=key, label=key, kind=FieldType.TEXT)
        winner, loser = await build(tx, 1, one), await build(tx, 2, two)
        made = await merge(tx, winner, loser)
        merged = await api.get(tx, winner.id)
        assert len(merged.identities) == len(winner.identities) + len(loser.identities)
        assert bool(merged.opted_out_at) == bool(winner.opted_out_at or loser.opted_out_at)
        await unmerge(tx, made.id)
        assert apart_from_time(await api.get(tx, winner.id)) == apart_from_time(winner)
        assert apart_from_time(await api.get(tx, loser.id)) == apart_from_time(loser)


async def test_a_withdrawal_for_one_network_since_the_merge_reaches_a_wider_grant(tx: Tx):
    winner, loser = await make(tx, ("telegram_id", "1")), await make(tx, ("telegram_id", "2"))
    await say(tx, loser.id, "granted")
    made = await merge(tx, winner, loser)
    await say(tx, winner.id, "withdrawn", days=1, platform="telegram")
    await unmerge(tx, made.id)
    said = (await api.get(tx, loser.id)).consents["marketing"]
    assert (said["telegram"]["status"], said["*"]["status"]) == ("withdrawn", "granted")
