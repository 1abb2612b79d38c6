"""Stored segments, references between them, counts, samples and reach."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from carillon.audience.segments import api as segments
from carillon.audience.segments.errors import (
    RuleInvalid,
    SegmentChanged,
    SegmentCycle,
    SegmentInUse,
    SegmentNameTaken,
    SegmentUnknown,
)
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.storage.database import Database, Tx

from .people import GRANTED, add_person

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
VIP = {"attribute": "tags", "operator": "has", "value": "vip"}
GERMAN = {"attribute": "country", "operator": "is", "value": "DE"}


def within(segment_id: UUID, operator: str = "is") -> dict[str, Any]:
    return {"attribute": "segment", "operator": operator, "value": str(segment_id)}


async def ids(tx: Tx, raw: object) -> set[UUID]:
    rule = await segments.resolve(tx, raw)
    return {row["id"] for row in await tx.all(segments.select_members(rule, at=NOW))}


async def test_a_segment_is_stored_changed_and_removed(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        made = await segments.create(tx, name="VIPs", rule=VIP)
        assert (made.rule, made.version) == (VIP, 1)
        changed = await segments.update(tx, made.id, version=1, name="Germans", rule=GERMAN)
        assert (changed.name, changed.rule, changed.version) == ("Germans", GERMAN, 2)
        with pytest.raises(SegmentChanged):
            await segments.update(tx, made.id, version=1, name="Germans", rule=VIP)
        await segments.delete(tx, made.id)
        for gone in (segments.get(tx, made.id), segments.delete(tx, made.id), segments.rule_of(tx, made.id)):
            with pytest.raises(SegmentUnknown):
                await gone
        with pytest.raises(SegmentUnknown):
            await segments.update(tx, made.id, version=1, name="x", rule=VIP)


async def test_a_name_is_taken_once(app_database: Database, tenant: UUID, other_tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        await segments.create(tx, name="VIPs", rule=VIP)
        other = await segments.create(tx, name="Others", rule=VIP)
        with pytest.raises(SegmentNameTaken):
            await segments.create(tx, name="VIPs", rule=GERMAN)
        with pytest.raises(SegmentNameTaken):
            await segments.update(tx, other.id, version=1, name="VIPs", rule=GERMAN)
        assert len((await segments.list_segments(tx, PageRequest())).items) == 2
    async with app_database.transaction(other_tenant) as tx:
        assert await segments.create(tx, name="VIPs", rule=VIP)
        with pytest.raises(SegmentUnknown):
            await segments.get(tx, other.id)


async def test_a_wrong_rule_is_not_stored(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        for raw in ({"all": [{"attribute": "x"}]}, within(uuid7())):
            with pytest.raises(RuleInvalid):
                await segments.create(tx, name="x", rule=raw)
        assert (await segments.list_segments(tx, PageRequest())).items == []


async def test_segments_build_on_segments(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        both = await add_person(tx, tags=["vip"], country="DE")
        vip = await add_person(tx, tags=["vip"])
        nobody = await add_person(tx)
        vips = await segments.create(tx, name="VIPs", rule=VIP)
        germans = await segments.create(tx, name="Germans", rule={"all": [within(vips.id), GERMAN]})
        assert await ids(tx, within(germans.id)) == {both}
        assert await ids(tx, within(germans.id, "is_not")) == {vip, nobody}
        assert await ids(tx, {"all": [within(vips.id), within(germans.id, "is_not")]}) == {vip}
        with pytest.raises(SegmentInUse) as caught:
            await segments.delete(tx, vips.id)
        assert caught.value.data["segments"] == ["Germans"]


async def test_a_segment_cannot_contain_itself(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        first = await segments.create(tx, name="1", rule=VIP)
        second = await segments.create(tx, name="2", rule=within(first.id))
        third = await segments.create(tx, name="3", rule={"none": [within(second.id)]})
        for target in (first, second, third):
            with pytest.raises(SegmentCycle):
                await segments.update(tx, first.id, version=1, name="1", rule=within(target.id))


async def test_segments_that_multiply_are_refused(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        wide = await segments.create(tx, name="1", rule={"any": [VIP] * 100})
        await segments.create(tx, name="2", rule={"any": [within(wide.id)] * 10})
        with pytest.raises(RuleInvalid, match="at most 1000"):
            await segments.create(tx, name="3", rule={"any": [within(wide.id)] * 11})


async def test_the_list_comes_in_pages(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        for number in range(3):
            await segments.create(tx, name=str(number), rule=VIP)
        first = await segments.list_segments(tx, PageRequest(limit=2))
        rest = await segments.list_segments(tx, PageRequest(limit=2, cursor=first.next_cursor))
        assert [item.name for item in (*first.items, *rest.items)] == ["2", "1", "0"]
        assert rest.next_cursor is None


async def test_counting_and_sampling(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        people = [await add_person(tx, tags=["vip"], name=str(number)) for number in range(5)]
        await add_person(tx)
        rule = segments.parse(VIP)
        counted = await segments.count(tx, rule, at=NOW)
        assert (counted.total, counted.exact) == (5, True)
        shown = await segments.sample(tx, rule, at=NOW, size=2)
        assert [member.id for member in shown] == people[:2:-1]


async def test_a_count_that_takes_too_long_becomes_an_estimate(
    app_database: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch
):
    from sqlalchemy import func

    from carillon.audience.segments import attributes, operators, values

    monkeypatch.setattr(attributes, "_attributes", dict(attributes._attributes))
    slow = operators.Operator(values.nothing, lambda _column, _value, _at: func.pg_sleep(60).is_not(None), "none")
    segments.register(segments.Attribute("slow", lambda _options: {"is": slow}, lambda _options, _at: func.now()))
    async with app_database.transaction(tenant) as tx:
        await add_person(tx)
        before = await tx.scalar("SELECT current_setting('statement_timeout')")
        counted = await segments.count(
            tx, segments.parse({"attribute": "slow", "operator": "is"}), at=NOW, seconds=0.05
        )
        assert not counted.exact
        assert counted.total >= 0
        # The transaction goes on as if nothing had happened.
        assert await tx.scalar("SELECT current_setting('statement_timeout')") == before


async def test_reach_says_who_may_be_written_to_and_why_others_may_not(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        for columns in (
            {"consents": GRANTED},
            {"consents": GRANTED},
            {"consents": GRANTED, "opted_out_at": NOW},
            {"consents": GRANTED, "peers": {"whatsapp": "1"}},
            {},
        ):
            await add_person(tx, tags=["vip"], **columns)
        await add_person(tx)
        found = await segments.reach(tx, segments.parse(VIP), platform="telegram", purpose="marketing", at=NOW)
        assert (found.sendable, found.excluded) == (2, {"no_address": 1, "no_consent": 1, "opted_out": 1})
