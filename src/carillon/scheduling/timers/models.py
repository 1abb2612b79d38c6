"""Tables of timers."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from carillon.storage.schema import instant, tenant_table

from .contracts import Missed, Outcome, Trigger


def _one_of(column: str, kind: type[Missed] | type[Outcome] | type[Trigger]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value.value) for value in kind)})", name=column)


timer = tenant_table(
    "scheduling",
    "timer",
    Column("name", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("action", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("missed", Text, nullable=False),
    instant("next_at"),
    instant("last_at"),
    Column("last_outcome", Text),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("created_by", Uuid),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    _one_of("missed", Missed),
)
Index("ix_timer_next_at", timer.c.next_at, postgresql_where=timer.c.next_at.is_not(None))

timer_run = tenant_table(
    "scheduling",
    "timer_run",
    Column("timer_id", Uuid, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    instant("due_at", nullable=False),
    instant("ran_at", nullable=False),
    Column("result", JSONB, nullable=False),
    Column("code", Text),
    Column("message", Text),
    ForeignKeyConstraint(
        ["tenant_id", "timer_id"], ["scheduling.timer.tenant_id", "scheduling.timer.id"], ondelete="CASCADE"
    ),
    _one_of("trigger", Trigger),
    _one_of("outcome", Outcome),
)
Index("ix_timer_run_timer", timer_run.c.tenant_id, timer_run.c.timer_id, timer_run.c.id)
