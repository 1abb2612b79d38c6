"""What rules can ask about a person: the register of attributes.

A service above adds its own with `register` (say, which campaigns somebody received) when it is loaded; this module
never imports it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Numeric, Text, Uuid, case, cast, exists, func, literal

from . import operators, values
from .models import contact, identity
from .operators import Operators
from .values import Read

Options = Mapping[str, Any]

PLATFORMS = ("telegram", "whatsapp", "custom")
PURPOSES = ("marketing", "service")
KINDS = ("phone", "telegram_id", "telegram_username", "whatsapp_bsuid", "whatsapp_lid", "email", "custom_id")
FIELD_TYPES = ("text", "number", "boolean", "date", "choice")


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something about a person.

    Attributes:
        name: As in the rule.
        operators: By its options; most attributes have the same for all.
        column: The SQL value by options and time, over `audience.contact`.
        options: Further keys a condition must have, each with its reader.
        defaults: Values of options that may be left out.
    """

    name: str
    operators: Callable[[Options], Operators]
    column: Callable[[Options, datetime], ColumnElement[Any]]
    options: Mapping[str, Read] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


_attributes: dict[str, Attribute] = {}


def register(*attributes: Attribute) -> None:
    """Add attributes; a name can be taken once."""
    for attribute in attributes:
        if attribute.name in _attributes:
            message = f"attribute {attribute.name} is declared twice"
            raise RuntimeError(message)
        _attributes[attribute.name] = attribute


def find(name: str) -> Attribute | None:
    """The attribute of this name."""
    return _attributes.get(name)


def names() -> list[str]:
    """All names, for those who build rules."""
    return sorted(_attributes)


def _plain(name: str, kind: Operators, column: ColumnElement[Any]) -> Attribute:
    return Attribute(name, lambda _options: kind, lambda _options, _at: column)


def _text(name: str) -> Attribute:
    # An empty name is no name.
    return _plain(name, operators.TEXT, func.nullif(contact.c[name], ""))


_FIELD_OPERATORS = {
    "text": operators.TEXT,
    "choice": operators.TEXT,
    "number": operators.NUMBER,
    "boolean": operators.BOOLEAN,
    "date": operators.DATE,
}


def _field(options: Options, _at: datetime) -> ColumnElement[Any]:
    """A custom field's value, or NULL when it is of another type: a cast never meets what it cannot read."""
    key = literal(options["field"], Text)
    value: ColumnElement[Any] = contact.c.fields[key]
    plain: ColumnElement[Any] = contact.c.fields[key].astext
    kind = {"number": "number", "boolean": "boolean"}.get(options["type"], "string")
    if kind == "number":
        plain = cast(plain, Numeric)
    elif kind == "boolean":
        plain = cast(plain, Boolean)
    return case((func.jsonb_typeof(value) == kind, plain))


def _consent(options: Options, at: datetime) -> ColumnElement[Any]:
    outcome = func.audience.consent_outcome(contact.c.consents, options["platform"], options["purpose"], at)
    return case(
        (outcome == "granted", "granted"),
        (outcome == "consent_withdrawn", "withdrawn"),
        (outcome == "consent_expired", "expired"),
        else_="none",
    )


def verdict(platform: str, purpose: str, at: datetime) -> ColumnElement[Any]:
    """`audience.verdict` over a person: NULL when they may be written to."""
    return func.audience.verdict(
        contact.c.consents,
        contact.c.opted_out_at,
        contact.c.last_inbound_at,
        contact.c.peers[literal(platform, Text)].astext,
        platform,
        purpose,
        at,
        type_=Text,
    )


def _identity(options: Options, _at: datetime) -> ColumnElement[Any]:
    """Not a column but what the operators look for: the kind."""
    return literal(options["kind"], Text)


def _known_by(kind: ColumnElement[Any], *more: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        identity.c.tenant_id == contact.c.tenant_id,
        identity.c.contact_id == contact.c.id,
        identity.c.kind == kind,
        *more,
    )


def _identity_operators() -> Operators:
    of_text = operators.TEXT
    known = operators.Operator(values.nothing, lambda kind, _value, _at: _known_by(kind), "none")

    def having(name: str) -> operators.Operator:
        inner = of_text[name]
        return operators.Operator(
            inner.read, lambda kind, value, at: _known_by(kind, inner.sql(identity.c.value, value, at)), inner.value
        )

    unknown = operators.Operator(values.nothing, lambda kind, _value, _at: operators.not_true(_known_by(kind)), "none")
    return {
        "exists": known,
        "not_exists": unknown,
        **{name: having(name) for name in ("is", "in", "contains", "starts_with")},
    }


def _imported(column: ColumnElement[Any], value: Any, _at: datetime) -> ColumnElement[bool]:
    return exists().where(
        identity.c.tenant_id == contact.c.tenant_id, identity.c.contact_id == column, identity.c.import_id == value
    )


_IDENTITY_OPERATORS = _identity_operators()
_PLATFORM = values.one_of(*PLATFORMS)
_PLATFORM_OR_ALL = values.one_of(*PLATFORMS, "*")
_PURPOSE = values.one_of(*PURPOSES)

_ID_IN = operators.Operator(
    values.several(values.identifier),
    lambda column, value, _at: operators.in_array(column, value, Uuid()),
    "list of id",
)
_ID_NOT_IN = operators.Operator(
    _ID_IN.read, lambda column, value, at: operators.not_true(_ID_IN.sql(column, value, at)), "list of id"
)


def _never_resolved(_column: ColumnElement[Any], _value: Any, _at: datetime) -> ColumnElement[bool]:
    message = "a reference to a segment is put in place before a rule is compiled"
    raise RuntimeError(message)


register(
    *(_text(name) for name in ("name", "first_name", "last_name", "email", "language", "country", "time_zone")),
    _plain("tags", operators.TAGS, contact.c.tags),
    _plain("opted_out", operators.FACT, contact.c.opted_out_at.is_not(None)),
    _plain("last_inbound_at", operators.INSTANT, contact.c.last_inbound_at),
    _plain("created_at", operators.INSTANT, contact.c.created_at),
    _plain("id", {"in": _ID_IN, "not_in": _ID_NOT_IN}, contact.c.id),
    _plain("import", operators.reference(_imported, "import"), contact.c.id),
    _plain("segment", operators.reference(_never_resolved, "segment"), contact.c.id),
    Attribute(
        "field",
        lambda options: _FIELD_OPERATORS[options["type"]],
        _field,
        options={"field": values.text, "type": values.one_of(*FIELD_TYPES)},
        defaults={"type": "text"},
    ),
    Attribute(
        "reachable",
        lambda _options: operators.FACT,
        lambda options, _at: contact.c.peers[literal(options["platform"], Text)].astext.is_not(None),
        options={"platform": _PLATFORM},
    ),
    Attribute("identity", lambda _options: _IDENTITY_OPERATORS, _identity, options={"kind": values.one_of(*KINDS)}),
    Attribute(
        "consent",
        lambda _options: operators.choices("granted", "withdrawn", "expired", "none"),
        _consent,
        options={"platform": _PLATFORM_OR_ALL, "purpose": _PURPOSE},
        defaults={"purpose": "marketing"},
    ),
    Attribute(
        "sendable",
        lambda _options: operators.FACT,
        lambda options, at: verdict(options["platform"], options["purpose"], at).is_(None),
        options={"platform": _PLATFORM, "purpose": _PURPOSE},
        defaults={"purpose": "marketing"},
    ),
)
