"""The rule tree: read from JSON with a clear place for every fault.

    {"all": [
        {"attribute": "tags", "operator": "has", "value": "customer"},
        {"any": [
            {"attribute": "country", "operator": "in", "value": ["DE", "AT"]},
            {"attribute": "field", "field": "plan", "operator": "is", "value": "pro"}]},
        {"none": [{"attribute": "last_inbound_at", "operator": "within_days", "value": 30}]}]}

`all` of nothing is everybody.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union
from uuid import UUID

from . import attributes
from .attributes import Attribute
from .operators import Operator
from .values import refuse

MOST_CONDITIONS = 100
DEEPEST = 8
_GROUPS = ("all", "any", "none")
_ROOT = "rule"


@dataclass(frozen=True, slots=True)
class Condition:
    """One question about a person, checked."""

    attribute: Attribute
    options: Mapping[str, Any]
    operator: Operator
    value: Any
    refers_to: UUID | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Rules joined by `all`, `any` or `none`."""

    kind: str
    members: tuple["Rule", ...]


Rule = Union[Group, Condition]  # noqa: UP007 - a forward reference
EVERYBODY = Group("all", ())


def parse(raw: Any) -> Rule:
    """The rule tree of a JSON value.

    Raises:
        RuleInvalid: With the place, e.g. `rule.all[2].value`.
    """
    rule = _parse(raw, _ROOT, DEEPEST)
    if sum(1 for _ in conditions(rule)) > MOST_CONDITIONS:
        refuse(f"A rule has at most {MOST_CONDITIONS} conditions.", _ROOT)
    return rule


def conditions(rule: Rule) -> Iterator[Condition]:
    """All conditions of a tree."""
    if isinstance(rule, Condition):
        yield rule
    else:
        for member in rule.members:
            yield from conditions(member)


def references(rule: Rule) -> set[UUID]:
    """The segments a rule names."""
    return {condition.refers_to for condition in conditions(rule) if condition.refers_to}


def put_in_place(rule: Rule, segments: Mapping[UUID, Rule]) -> Rule:
    """The rule with every reference to a segment replaced by that segment's own rule."""
    if isinstance(rule, Group):
        return Group(rule.kind, tuple(put_in_place(member, segments) for member in rule.members))
    if rule.refers_to is None:
        return rule
    return Group("none" if rule.negated else "all", (segments[rule.refers_to],))


def _parse(raw: Any, place: str, depth: int) -> Rule:
    if not isinstance(raw, dict):
        refuse("A group (all, any, none) or a condition is wanted.", place)
    if not depth:
        refuse(f"Groups may stand {DEEPEST - 1} deep.", place)
    if "attribute" in raw:
        return _condition(raw, place)
    if len(raw) != 1 or next(iter(raw)) not in _GROUPS:
        refuse("A group has exactly one of all, any, none; a condition has an attribute.", place)
    ((kind, members),) = raw.items()
    if not isinstance(members, list) or len(members) > MOST_CONDITIONS:
        refuse(f"A list of at most {MOST_CONDITIONS} rules is wanted.", f"{place}.{kind}")
    if kind == "any" and not members:
        refuse("Any of nothing is nobody.", f"{place}.{kind}")
    return Group(
        kind, tuple(_parse(member, f"{place}.{kind}[{index}]", depth - 1) for index, member in enumerate(members))
    )


def _condition(raw: Mapping[str, Any], place: str) -> Condition:
    name = raw["attribute"]
    attribute = attributes.find(name) if isinstance(name, str) else None
    if attribute is None:
        refuse(f"There is no such attribute; known are {', '.join(attributes.names())}.", f"{place}.attribute")
    allowed = {"attribute", "operator", "value", *attribute.options}
    for key in raw:
        if key not in allowed:
            named = key[:40].encode("ascii", "backslashreplace").decode()
            refuse(f"A condition on {attribute.name} has no {named!r}.", f"{place}.{named}")
    options = _options(attribute, raw, place)
    operators = attribute.operators(options)
    wanted = raw.get("operator")
    operator = operators.get(wanted) if isinstance(wanted, str) else None
    if operator is None:
        refuse(f"One of {', '.join(operators)} is wanted.", f"{place}.operator")
    value = operator.read(raw.get("value"), f"{place}.value")
    refers_to = value if attribute.name == "segment" else None
    return Condition(attribute, options, operator, value, refers_to, wanted == "is_not")


def _options(attribute: Attribute, raw: Mapping[str, Any], place: str) -> dict[str, Any]:
    options = {}
    for name, read in attribute.options.items():
        if name in raw or name not in attribute.defaults:
            options[name] = read(raw.get(name), f"{place}.{name}")
        else:
            options[name] = attribute.defaults[name]
    return options
