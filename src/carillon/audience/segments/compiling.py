"""From a rule to one SQL query over `audience.contact`."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select, true

from .models import contact
from .operators import not_true
from .rules import Group, Rule

COLUMNS = (
    "tenant_id",
    "id",
    "peers",
    "consents",
    "opted_out_at",
    "last_inbound_at",
    "time_zone",
    "time_zones",
    "language",
    "name",
    "first_name",
    "last_name",
    "country",
    "tags",
    "fields",
)


def select_members(rule: Rule, *, at: datetime | None = None) -> Select[Any]:
    """The people a rule means, to be executed or composed as a subquery inside their tenant's transaction.

    Args:
        rule: Without references to segments (see `service.resolve`).
        at: The time at which consents and "within days" are judged, UTC-aware; now if left out.

    Returns:
        A query with the columns `COLUMNS`, in no order; people who are erased or merged away are not among them.
    """
    return select(*(contact.c[name] for name in COLUMNS)).where(*membership(rule, at=at or datetime.now(UTC)))


def membership(rule: Rule, *, at: datetime) -> tuple[ColumnElement[bool], ...]:
    """The WHERE conditions of `select_members`."""
    return contact.c.merged_into.is_(None), contact.c.erased_at.is_(None), _compile(rule, at)


def _compile(rule: Rule, at: datetime) -> ColumnElement[bool]:
    if not isinstance(rule, Group):
        return rule.operator.sql(rule.attribute.column(rule.options, at), rule.value, at)
    members = [_compile(member, at) for member in rule.members]
    if rule.kind == "all":
        return and_(true(), *members)
    if rule.kind == "any":
        return or_(*members)
    return and_(true(), *(not_true(member) for member in members))
