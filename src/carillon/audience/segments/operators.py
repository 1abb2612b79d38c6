"""Operators by type: how a condition's value is read, and what SQL it becomes.

A person without a value is never matched by a positive operator and always by its negation (`is_not`, `not_in` …),
so no condition is ever "unknown" where it matters. Values reach PostgreSQL as bound parameters only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam, func, true
from sqlalchemy.types import TypeEngine

from . import values
from .values import Read

Sql = Callable[[ColumnElement[Any], Any, datetime], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a type.

    Attributes:
        read: Checks the value.
        sql: Given the attribute's column, the value and the time at which the rule is asked.
        value: What the value is, for those who build rules: `text`, `list of text`, `none` …
    """

    read: Read
    sql: Sql
    value: str


Operators = Mapping[str, Operator]


def not_true(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The opposite, with "unknown" counted as false before."""
    return condition.is_not(true())


def _negated(operator: Operator) -> Operator:
    return Operator(operator.read, lambda column, value, at: not_true(operator.sql(column, value, at)), operator.value)


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def in_array(column: ColumnElement[Any], wanted: list[Any], kind: TypeEngine[Any]) -> ColumnElement[bool]:
    """`column = ANY(:wanted)`: one parameter however long the list."""
    return column == any_(bindparam(None, wanted, type_=ARRAY(kind)))


EXISTS = Operator(values.nothing, lambda column, _value, _at: column.is_not(None), "none")
_PRESENCE: Operators = {"exists": EXISTS, "not_exists": _negated(EXISTS)}


def _compared(read: Read, kind: str) -> Operators:
    """Equality for any type."""
    equal = Operator(read, lambda column, value, _at: column == value, kind)
    return {"is": equal, "is_not": _negated(equal)}


def _ordered(read: Read, kind: str, less: str, more: str) -> Operators:
    """Order for any type, under the names that suit it; `between` includes both ends."""
    return {
        less: Operator(read, lambda column, value, _at: column < value, kind),
        more: Operator(read, lambda column, value, _at: column > value, kind),
        "between": Operator(
            values.pair(read), lambda column, value, _at: column.between(value[0], value[1]), f"two of {kind}"
        ),
    }


_CONTAINS = Operator(values.text, lambda column, value, _at: column.ilike(f"%{_like(value)}%", escape="\\"), "text")
_TEXT_IN = Operator(
    values.several(values.text), lambda column, value, _at: in_array(column, value, Text()), "list of text"
)

TEXT: Operators = {
    **_compared(values.text, "text"),
    "contains": _CONTAINS,
    "not_contains": _negated(_CONTAINS),
    "starts_with": Operator(
        values.text, lambda column, value, _at: column.ilike(f"{_like(value)}%", escape="\\"), "text"
    ),
    "in": _TEXT_IN,
    "not_in": _negated(_TEXT_IN),
    **_PRESENCE,
}
"""`is` and `in` are exact; `contains` and `starts_with` pass over case."""

NUMBER: Operators = {
    **_compared(values.number, "number"),
    **_ordered(values.number, "number", "lt", "gt"),
    "gte": Operator(values.number, lambda column, value, _at: column >= value, "number"),
    "lte": Operator(values.number, lambda column, value, _at: column <= value, "number"),
    **_PRESENCE,
}

BOOLEAN: Operators = {
    "is": Operator(values.boolean, lambda column, value, _at: column.is_(value), "boolean"),
    **_PRESENCE,
}

FACT: Operators = {"is": BOOLEAN["is"]}
"""Of what is always known."""


def _day(at: datetime, days: int) -> str:
    return (at + timedelta(days=days)).date().isoformat()


DATE: Operators = {
    **_compared(values.day, "date"),
    **_ordered(values.day, "date", "before", "after"),
    "within_days": Operator(
        values.days, lambda column, value, at: column.between(_day(at, -value), _day(at, 0)), "days"
    ),
    "in_next_days": Operator(
        values.days, lambda column, value, at: column.between(_day(at, 0), _day(at, value)), "days"
    ),
    **_PRESENCE,
}
"""Calendar dates, kept as ISO text; today is today in UTC."""

_WITHIN = Operator(values.days, lambda column, value, at: column.between(at - timedelta(days=value), at), "days")
INSTANT: Operators = {
    **_ordered(values.moment, "time", "before", "after"),
    "within_days": _WITHIN,
    "not_within_days": _negated(_WITHIN),
    **_PRESENCE,
}


def _any_tag(column: ColumnElement[Any], value: list[str], _at: datetime) -> ColumnElement[bool]:
    return column.op("&&", is_comparison=True)(bindparam(None, value, type_=ARRAY(Text)))


def _all_tags(column: ColumnElement[Any], value: list[str], _at: datetime) -> ColumnElement[bool]:
    return column.op("@>", is_comparison=True)(bindparam(None, value, type_=ARRAY(Text)))


_ANY_TAG = Operator(values.several(values.text), _any_tag, "list of text")
_SOME_TAG = Operator(values.nothing, lambda column, _value, _at: func.cardinality(column) > 0, "none")
TAGS: Operators = {
    "has": Operator(values.text, lambda column, value, at: _all_tags(column, [value], at), "text"),
    "has_any": _ANY_TAG,
    "has_all": Operator(values.several(values.text), _all_tags, "list of text"),
    "has_none": _negated(_ANY_TAG),
    "exists": _SOME_TAG,
    "not_exists": _negated(_SOME_TAG),
}


def choices(*names: str) -> Operators:
    """Operators of an attribute with a few possible values."""
    read = values.one_of(*names)
    within = Operator(
        values.several(read), lambda column, value, _at: in_array(column, value, Text()), "list of choice"
    )
    return {**_compared(read, "choice"), "in": within, "not_in": _negated(within)}


def reference(sql: Sql, name: str) -> Operators:
    """`is` and `is_not` of an id whose SQL is not a comparison of a column."""
    same = Operator(values.identifier, sql, name)
    return {"is": same, "is_not": _negated(same)}
