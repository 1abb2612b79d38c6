"""SQL of timers."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from carillon.storage.database import Tx

from .contracts import Missed, Outcome, Timer, TimerPlan, TimerRun, Trigger
from .models import timer, timer_run

KEPT = timedelta(days=90)
"""How long history is kept."""

DUE = "SELECT tenant_id, id FROM scheduling.timer WHERE next_at <= :now ORDER BY next_at, id"
"""Of all tenants."""


def _read(row: Any) -> Timer:
    plan = TimerPlan(
        name=row["name"],
        cron=row["cron"],
        zone=row["zone"],
        action=row["action"],
        enabled=row["enabled"],
        missed=Missed(row["missed"]),
    )
    return Timer(
        id=row["id"],
        plan=plan,
        next_at=row["next_at"],
        last_at=row["last_at"],
        last_outcome=Outcome(row["last_outcome"]) if row["last_outcome"] else None,
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _of(tx: Tx, timer_id: UUID) -> ColumnElement[bool]:
    return (timer.c.tenant_id == tx.tenant) & (timer.c.id == timer_id)


async def add(tx: Tx, values: Mapping[str, Any]) -> None:
    """A new row."""
    await tx.execute(insert(timer).values(tenant_id=tx.tenant, **values))


async def count(tx: Tx) -> int:
    """How many timers there are."""
    return int(await tx.scalar(select(func.count()).select_from(timer).where(timer.c.tenant_id == tx.tenant)))


async def find(tx: Tx, timer_id: UUID, *, lock: bool = False) -> Timer | None:
    """One timer."""
    query = select(timer).where(_of(tx, timer_id))
    row = await tx.first(query.with_for_update() if lock else query)
    return _read(row) if row else None


async def claim_due(tx: Tx, timer_id: UUID, now: datetime) -> Timer | None:
    """A timer that is due, locked; None when another process has it or had it."""
    row = await tx.first(
        select(timer).where(_of(tx, timer_id), timer.c.next_at <= now).with_for_update(skip_locked=True)
    )
    return _read(row) if row else None


async def write(tx: Tx, timer_id: UUID, values: Mapping[str, Any]) -> None:
    """Change what a person decides; every change is a new version."""
    version = timer.c.version + 1
    await tx.execute(update(timer).where(_of(tx, timer_id)).values(**values, version=version, updated_at=func.now()))


async def remove(tx: Tx, timer_id: UUID) -> None:
    """Delete a timer with its history."""
    await tx.execute(delete(timer).where(_of(tx, timer_id)))


async def search(tx: Tx, *, before: UUID | None, limit: int) -> list[Timer]:
    """Newest first."""
    query = select(timer).where(timer.c.tenant_id == tx.tenant).order_by(timer.c.id.desc()).limit(limit)
    return [_read(row) for row in await tx.all(query.where(timer.c.id < before) if before else query)]


async def add_run(tx: Tx, run: TimerRun, *, moved_on: Mapping[str, Any]) -> None:
    """Write a run down and move the timer on."""
    await tx.execute(insert(timer_run).values(tenant_id=tx.tenant, **asdict(run)))
    await tx.execute(
        update(timer).where(_of(tx, run.timer_id)).values(last_at=run.ran_at, last_outcome=run.outcome, **moved_on)
    )
    mine = (timer_run.c.tenant_id == tx.tenant) & (timer_run.c.timer_id == run.timer_id)
    await tx.execute(delete(timer_run).where(mine, timer_run.c.ran_at < run.ran_at - KEPT))


async def runs(tx: Tx, timer_id: UUID, *, before: UUID | None, limit: int) -> list[TimerRun]:
    """Newest first."""
    columns = [column for column in timer_run.c if column.name != "tenant_id"]
    mine = (timer_run.c.tenant_id == tx.tenant) & (timer_run.c.timer_id == timer_id)
    query = select(*columns).where(mine).order_by(timer_run.c.id.desc()).limit(limit)
    rows = await tx.all(query.where(timer_run.c.id < before) if before else query)
    return [TimerRun(**{**row, "trigger": Trigger(row["trigger"]), "outcome": Outcome(row["outcome"])}) for row in rows]
