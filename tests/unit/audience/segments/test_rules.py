"""Rule trees: what is understood, and how clearly the rest is refused."""

from typing import Any

import pytest
from sqlalchemy.dialects import postgresql

from carillon.audience.segments import rules
from carillon.audience.segments.compiling import COLUMNS, select_members
from carillon.audience.segments.errors import RuleInvalid
from carillon.kernel.ids import uuid7

TAGGED = {"attribute": "tags", "operator": "has", "value": "customer"}


def nested(levels: int) -> dict[str, Any]:
    rule: dict[str, Any] = TAGGED
    for _ in range(levels):
        rule = {"all": [rule]}
    return rule


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (None, "rule"),
        ([], "rule"),
        ("name = 'x'", "rule"),
        ({}, "rule"),
        ({"all": [], "any": []}, "rule"),
        ({"every": []}, "rule"),
        ({"all": {}}, "rule.all"),
        ({"any": []}, "rule.any"),
        ({"all": [TAGGED, TAGGED, {**TAGGED, "value": 7}]}, "rule.all[2].value"),
        ({"all": [{"none": [{**TAGGED, "value": ""}]}]}, "rule.all[0].none[0].value"),
        ({**TAGGED, "attribute": "password"}, "rule.attribute"),
        ({**TAGGED, "attribute": ["tags"]}, "rule.attribute"),
        ({**TAGGED, "operator": "contains"}, "rule.operator"),
        ({**TAGGED, "operator": None}, "rule.operator"),
        ({**TAGGED, "operator": {}}, "rule.operator"),
        ({**TAGGED, "platform": "telegram"}, "rule.platform"),
        ({**TAGGED, "\ud800": "telegram"}, "rule.\\ud800"),
        ({**TAGGED, "operator": "has_any", "value": ["a", 1]}, "rule.value[1]"),
        ({**TAGGED, "operator": "has_any", "value": []}, "rule.value"),
        ({"attribute": "name", "operator": "is", "value": "a\0b"}, "rule.value"),
        ({"attribute": "name", "operator": "is", "value": "\ud800"}, "rule.value"),
        ({"attribute": "name", "operator": "exists", "value": True}, "rule.value"),
        ({"attribute": "reachable", "operator": "is", "value": True}, "rule.platform"),
        ({"attribute": "reachable", "platform": "fax", "operator": "is", "value": True}, "rule.platform"),
        ({"attribute": "field", "operator": "is", "value": "x"}, "rule.field"),
        ({"attribute": "field", "field": "age", "type": "number", "operator": "gt", "value": True}, "rule.value"),
        ({"attribute": "field", "field": "age", "type": "number", "operator": "gt", "value": 1e300}, "rule.value"),
        (
            {"attribute": "field", "field": "age", "type": "number", "operator": "gt", "value": float("nan")},
            "rule.value",
        ),
        (
            {"attribute": "field", "field": "age", "type": "number", "operator": "between", "value": [2, 1]},
            "rule.value",
        ),
        ({"attribute": "field", "field": "d", "type": "date", "operator": "before", "value": "soon"}, "rule.value"),
        ({"attribute": "created_at", "operator": "after", "value": "2026-01-01T00:00:00"}, "rule.value"),
        ({"attribute": "created_at", "operator": "within_days", "value": -1}, "rule.value"),
        ({"attribute": "created_at", "operator": "within_days", "value": 10**9}, "rule.value"),
        ({"attribute": "id", "operator": "in", "value": ["x"]}, "rule.value[0]"),
        ({"attribute": "segment", "operator": "is", "value": 7}, "rule.value"),
        ({"attribute": "consent", "platform": "*", "operator": "is", "value": "yes"}, "rule.value"),
        (nested(9), "rule.all[0].all[0].all[0].all[0].all[0].all[0].all[0].all[0]"),
        ({"all": [TAGGED] * 101}, "rule.all"),
        ({"all": [{"any": [TAGGED] * 60}, {"any": [TAGGED] * 60}]}, "rule"),
    ],
)
def test_a_fault_is_named_with_its_place(raw, place):
    with pytest.raises(RuleInvalid) as caught:
        rules.parse(raw)
    assert caught.value.place == place


def test_a_rule_may_be_deep_and_wide():
    assert rules.parse(nested(7))
    assert sum(1 for _ in rules.conditions(rules.parse({"any": [TAGGED] * 100}))) == 100


def test_the_query_has_the_columns_that_planning_needs():
    query = select_members(rules.EVERYBODY)
    assert tuple(query.subquery().c.keys()) == COLUMNS


def test_values_are_bound_never_written_into_the_statement():
    evil = "'; DROP TABLE audience.contact; --"
    raw = {
        "any": [
            {"attribute": "name", "operator": "contains", "value": evil},
            {"attribute": "field", "field": evil, "operator": "is", "value": evil},
            {"attribute": "tags", "operator": "has_any", "value": [evil]},
            {"attribute": "identity", "kind": "email", "operator": "starts_with", "value": evil},
        ]
    }
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves it untyped
    statement = str(select_members(rules.parse(raw)).compile(dialect=dialect))
    assert "DROP" not in statement


def test_references_are_found_and_put_in_place():
    one, two = uuid7(), uuid7()
    rule = rules.parse(
        {
            "any": [
                {"attribute": "segment", "operator": "is", "value": str(one)},
                {"attribute": "segment", "operator": "is_not", "value": str(two)},
            ]
        }
    )
    assert rules.references(rule) == {one, two}
    inner = rules.parse(TAGGED)
    whole = rules.put_in_place(rule, {one: inner, two: inner})
    assert whole == rules.Group("any", (rules.Group("all", (inner,)), rules.Group("none", (inner,))))
