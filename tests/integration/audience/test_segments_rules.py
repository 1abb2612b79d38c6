"""Rules become SQL that means what the rules mean: held against an oracle in plain Python."""

import random
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import bindparam, inspect
from sqlalchemy.schema import Table

from carillon.audience.contacts import models as contacts
from carillon.audience.segments import api as segments
from carillon.audience.segments import attributes, models, operators, values
from carillon.storage.database import Database, Tx

from .oracle import IMPORTS, NOW, Someone, matches, rule, someone
from .people import add_address, add_person


async def populate(tx: Tx, seed: int, size: int) -> list[Someone]:
    dice = random.Random(seed)
    people = [someone(dice, number) for number in range(size)]
    for person in people:
        await add_person(tx, **person.columns)
        for kind, value, source in person.addresses:
            await add_address(tx, person.columns["id"], kind, value, import_id=source)
    return people


async def members(tx: Tx, raw: object) -> set[UUID]:
    query = segments.select_members(segments.parse(raw), at=NOW)
    return {row["id"] for row in await tx.all(query)}


async def test_random_rules_mean_the_same_in_sql_and_in_python(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        people = await populate(tx, seed=7, size=150)
        ids = [person.columns["id"] for person in people]
        sizes = []
        for seed in range(600):
            raw = rule(random.Random(seed), ids)
            found = await members(tx, raw)
            wanted = {person.columns["id"] for person in people if matches(raw, person)}
            assert found == wanted, raw
            sizes.append(len(found))
        # The rules are neither all empty nor all full.
        assert sum(0 < size < len(people) for size in sizes) > len(sizes) / 2


@pytest.mark.parametrize("name", ["contact", "identity"])
def test_the_columns_are_those_of_contacts(name: str):
    mine, theirs = getattr(models, name), getattr(contacts, name)
    assert isinstance(theirs, Table)
    for column in mine.c:
        real = inspect(theirs).c[column.name].type
        assert isinstance(real, type(column.type)), column.name


async def test_who_is_gone_is_in_no_segment(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        here = await add_person(tx)
        await add_person(tx, merged_into=here)
        await add_person(tx, erased_at=NOW)
        assert await members(tx, {"all": []}) == {here}


async def test_an_unknown_value_is_not_matched_by_none(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx)
        in_germany = {"attribute": "country", "operator": "is", "value": "DE"}
        assert await members(tx, {"none": [in_germany]}) == {person}
        assert await members(tx, {"none": [{"none": [in_germany]}]}) == set()
        assert await members(tx, {"attribute": "field", "field": "x", "operator": "is_not", "value": "y"}) == {person}


async def test_a_query_composes_as_a_subquery(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, language="de")
        inner = segments.select_members(
            segments.parse({"attribute": "language", "operator": "in", "value": ["de", "at"]})
        ).subquery()
        assert await tx.scalar(inner.select().with_only_columns(inner.c.id)) == person


async def test_an_import_is_where_people_were_last_mentioned(app_database: Database, tenant: UUID):
    async with app_database.transaction(tenant) as tx:
        person, _other = await add_person(tx), await add_person(tx)
        await add_address(tx, person, "email", "ada@example.org", import_id=IMPORTS[0])
        assert await members(tx, {"attribute": "import", "operator": "is", "value": str(IMPORTS[0])}) == {person}


async def test_services_above_add_attributes(app_database: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attributes, "_attributes", dict(attributes._attributes))
    column = models.contact.c.created_at
    young = operators.Operator(
        values.days,
        lambda _column, value, at: column > bindparam(None, at - timedelta(days=value)),
        "days",
    )
    segments.register(segments.Attribute("young", lambda _options: {"is": young}, lambda _options, _at: column))
    with pytest.raises(RuntimeError, match="declared twice"):
        segments.register(segments.Attribute("young", lambda _options: {}, lambda _options, _at: column))
    async with app_database.transaction(tenant) as tx:
        person = await add_person(tx, created_at=NOW)
        await add_person(tx, created_at=NOW - timedelta(days=9))
        assert await members(tx, {"attribute": "young", "operator": "is", "value": 3}) == {person}
