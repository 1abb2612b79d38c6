"""Segments in plain Python: what a rule means, without SQL. Random people and rules to try both on."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from carillon.audience.consents.verdict import status, verdict
from carillon.kernel.ids import uuid7

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WORDS = ["Ada", "ada", "ADA L", "a%b", "a_b", "a\\b", "王伟", "'; --", "Z"]
TAGS = ["vip", "new", "a%", "客户"]
PLATFORMS = ["telegram", "whatsapp", "custom"]
COUNTRIES = ["DE", "CN", "US"]
DAYS = ["2026-11-01", "2026-11-23", "2026-12-24", "1999-12-31"]
MOMENTS = [NOW - timedelta(days=days) for days in (0, 1, 7, 30, 400)]
IMPORTS = [UUID(int=1), UUID(int=2)]
ENDS = [
    None,
    (NOW + timedelta(days=1)).isoformat(timespec="seconds"),
    (NOW - timedelta(days=1)).isoformat(timespec="seconds"),
]


@dataclass
class Someone:
    """A person: columns of the contact, and their addresses as (kind, value, import)."""

    columns: dict[str, Any]
    addresses: list[tuple[str, str, UUID | None]] = field(default_factory=list)


def someone(dice: random.Random, number: int) -> Someone:
    def maybe(values: list[Any]) -> Any:
        return dice.choice([None, *values])

    fields = {"plan": maybe(WORDS), "age": maybe([0, 18, 18.5, "18", True]), "paid": maybe([True, False, "true"])}
    fields["born"] = maybe([*DAYS, 7])
    columns = {
        "id": uuid7(),
        "name": dice.choice(["", *WORDS]),
        "language": maybe(["de", "en"]),
        "country": maybe(COUNTRIES),
        "time_zone": maybe(["Europe/Berlin", "Asia/Shanghai"]),
        "tags": dice.sample(TAGS, dice.randint(0, 3)),
        "fields": {key: value for key, value in fields.items() if value is not None},
        "peers": {platform: "peer" for platform in PLATFORMS if dice.random() < 0.5},
        "consents": {
            purpose: {
                place: {"status": dice.choice(["granted", "withdrawn"]), "until": dice.choice(ENDS), "at": ""}
                for place in ("telegram", "whatsapp", "*")
                if dice.random() < 0.4
            }
            for purpose in ("marketing", "service")
        },
        "opted_out_at": dice.choice([None, None, NOW]),
        "last_inbound_at": maybe(MOMENTS),
        "created_at": dice.choice(MOMENTS),
    }
    addresses = []
    if dice.random() < 0.6:
        addresses.append(("phone", f"+49{number:09}", dice.choice([None, *IMPORTS])))
    if dice.random() < 0.4:
        addresses.append(("email", f"{dice.choice('ab')}{number}@example.org", dice.choice([None, *IMPORTS])))
    return Someone(columns, addresses)


def rule(dice: random.Random, ids: list[UUID], depth: int = 3) -> dict[str, Any]:
    if depth == 0 or dice.random() < 0.3:
        return condition(dice, ids)
    kind = dice.choice(["all", "any", "none"])
    return {kind: [rule(dice, ids, depth - 1) for _ in range(dice.randint(1, 3))]}


def condition(dice: random.Random, ids: list[UUID]) -> dict[str, Any]:
    attribute = dice.choice(list(_MADE))
    made = _MADE[attribute](dice, ids)
    return {"attribute": attribute, **{key: value for key, value in made.items() if value is not None}}


def _on_text(values: list[str]):
    def make(dice: random.Random, _ids: Any) -> dict[str, Any]:
        name = dice.choice(
            ["is", "is_not", "contains", "not_contains", "starts_with", "in", "not_in", "exists", "not_exists"]
        )
        value: Any = dice.choice(values)
        if name in ("contains", "not_contains", "starts_with"):
            value = value[: dice.randint(1, len(value))]
        elif name in ("in", "not_in"):
            value = dice.sample(values, 2)
        return {"operator": name, "value": None if "exists" in name else value}

    return make


def _on_instant(dice: random.Random, _ids: Any) -> dict[str, Any]:
    name = dice.choice(["before", "after", "between", "within_days", "not_within_days", "exists", "not_exists"])
    some = sorted(dice.sample(MOMENTS, 2))
    values: dict[str, Any] = {"between": [moment.isoformat() for moment in some], "exists": None, "not_exists": None}
    values |= {"within_days": 7, "not_within_days": 7}
    return {"operator": name, "value": values.get(name, some[0].isoformat())}


def _on_field(dice: random.Random, _ids: Any) -> dict[str, Any]:
    key, kind = dice.choice(
        [("plan", "text"), ("age", "number"), ("paid", "boolean"), ("born", "date"), ("age", "text")]
    )
    if kind == "text":
        return {"field": key, "type": kind, **_on_text(WORDS)(dice, None)}
    if dice.random() < 0.2:
        return {"field": key, "type": kind, "operator": dice.choice(["exists", "not_exists"])}
    if kind == "boolean":
        return {"field": key, "type": kind, "operator": "is", "value": dice.random() < 0.5}
    values: list[Any] = [0, 18, 18.5] if kind == "number" else DAYS
    less, more = ("lt", "gt") if kind == "number" else ("before", "after")
    name = dice.choice(
        ["is", "is_not", less, more, "between", *(["within_days", "in_next_days"] if kind == "date" else [])]
    )
    value: Any = sorted(dice.sample(values, 2)) if name == "between" else dice.choice(values)
    return {"field": key, "type": kind, "operator": name, "value": 31 if "days" in name else value}


def _on_tags(dice: random.Random, _ids: Any) -> dict[str, Any]:
    name = dice.choice(["has", "has_any", "has_all", "has_none", "exists", "not_exists"])
    value: Any = dice.choice(TAGS) if name == "has" else dice.sample(TAGS, 2)
    return {"operator": name, "value": None if "exists" in name else value}


def _fact(dice: random.Random, **options: Any) -> dict[str, Any]:
    return {"operator": "is", "value": dice.random() < 0.5, **options}


def _on_consent(dice: random.Random, _ids: Any) -> dict[str, Any]:
    return {
        "platform": dice.choice([*PLATFORMS, "*"]),
        "purpose": dice.choice(["marketing", "service"]),
        "operator": dice.choice(["is", "is_not"]),
        "value": dice.choice(["granted", "withdrawn", "expired", "none"]),
    }


def _on_identity(dice: random.Random, _ids: Any) -> dict[str, Any]:
    name = dice.choice(["exists", "not_exists", "starts_with", "contains"])
    return {
        "kind": dice.choice(["phone", "email"]),
        "operator": name,
        "value": None if "exists" in name else dice.choice(["a", "+4", "1"]),
    }


_MADE = {
    "name": _on_text(WORDS),
    "country": _on_text(COUNTRIES),
    "tags": _on_tags,
    "field": _on_field,
    "last_inbound_at": _on_instant,
    "created_at": _on_instant,
    "opted_out": lambda dice, _ids: _fact(dice),
    "reachable": lambda dice, _ids: _fact(dice, platform=dice.choice(PLATFORMS)),
    "sendable": lambda dice, _ids: _fact(
        dice, platform=dice.choice(PLATFORMS), purpose=dice.choice(["marketing", "service"])
    ),
    "consent": _on_consent,
    "identity": _on_identity,
    "import": lambda dice, _ids: {"operator": dice.choice(["is", "is_not"]), "value": str(dice.choice(IMPORTS))},
    "id": lambda dice, ids: {
        "operator": dice.choice(["in", "not_in"]),
        "value": [str(it) for it in dice.sample(ids, 5)],
    },
}


def matches(raw: dict[str, Any], person: Someone) -> bool:
    """Whether the rule means the person."""
    if "all" in raw:
        return all(matches(part, person) for part in raw["all"])
    if "any" in raw:
        return any(matches(part, person) for part in raw["any"])
    if "none" in raw:
        return not any(matches(part, person) for part in raw["none"])
    return _holds(raw, person)


def _holds(raw: dict[str, Any], person: Someone) -> bool:
    name, wanted = raw["operator"], raw.get("value")
    negations = {"is_not": "is", "not_contains": "contains", "not_in": "in", "has_none": "has_any"}
    negations |= {"not_exists": "exists", "not_within_days": "within_days"}
    if name in negations:
        return not _holds({**raw, "operator": negations[name]}, person)
    if raw["attribute"] == "identity":
        values = [value for kind, value, _ in person.addresses if kind == raw["kind"]]
        return any(name == "exists" or _compare(name, value, wanted) for value in values)
    if raw["attribute"] == "import":
        return any(str(source) == wanted for _, _, source in person.addresses)
    return _compare(name, _value(raw, person.columns), wanted)


def _value(raw: dict[str, Any], columns: dict[str, Any]) -> Any:  # noqa: PLR0911 - one line per attribute
    attribute = raw["attribute"]
    if attribute == "field":
        value, kind = columns["fields"].get(raw["field"]), raw["type"]
        types = {"number": (int, float), "boolean": (bool,)}.get(kind, (str,))
        fits = isinstance(value, types) and (kind != "number" or not isinstance(value, bool))
        return value if fits else None
    if attribute == "opted_out":
        return columns["opted_out_at"] is not None
    if attribute == "reachable":
        return raw["platform"] in columns["peers"]
    if attribute == "id":
        return str(columns["id"])
    if attribute == "consent":
        return _consent(columns["consents"].get(raw["purpose"], {}), raw["platform"])
    if attribute == "sendable":
        reason = verdict(
            columns["consents"],
            opted_out_at=columns["opted_out_at"],
            last_inbound_at=columns["last_inbound_at"],
            peer=columns["peers"].get(raw["platform"]),
            platform=raw["platform"],
            purpose=raw["purpose"],
            at=NOW,
        )
        return reason is None
    return columns[attribute] or None


def _consent(entries: dict[str, Any], platform: str) -> str:
    here, everywhere = status(entries.get(platform), NOW), status(entries.get("*"), NOW)
    if here == "withdrawn":
        return here
    if "granted" in (here, everywhere):
        return "granted"
    return everywhere if here == "none" else here


def _compare(name: str, value: Any, wanted: Any) -> bool:
    if value is None or name == "exists":
        return value is not None
    today: datetime | date = NOW.date()
    if isinstance(value, datetime):
        value, today = value.isoformat(), NOW
    if name in ("within_days", "in_next_days"):
        span = timedelta(days=wanted)
        low, high = (today - span, today) if name == "within_days" else (today, today + span)
        return bool(low.isoformat() <= value <= high.isoformat())
    return bool(_COMPARED[name](value, wanted))


_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "is": lambda value, wanted: value == wanted,
    "contains": lambda value, wanted: wanted.lower() in value.lower(),
    "starts_with": lambda value, wanted: value.lower().startswith(wanted.lower()),
    "in": lambda value, wanted: value in wanted,
    "has": lambda value, wanted: wanted in value,
    "has_any": lambda value, wanted: not set(wanted).isdisjoint(value),
    "has_all": lambda value, wanted: set(wanted) <= set(value),
    "lt": lambda value, wanted: value < wanted,
    "gt": lambda value, wanted: value > wanted,
    "before": lambda value, wanted: value < wanted,
    "after": lambda value, wanted: value > wanted,
    "between": lambda value, wanted: wanted[0] <= value <= wanted[1],
}
