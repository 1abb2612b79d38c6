"""Timers at work. What a run does, its line of history and the timer's next time are one transaction."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from carillon.events import outbox
from carillon.events.catalog.scheduling import TimerRan
from carillon.identity.audit import api as audit
from carillon.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import Subject, system_subject
from carillon.scheduling import cron
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import repository
from .actions import catalog
from .contracts import Missed, Outcome, Timer, TimerRun, Trigger
from .errors import TimerNotFound

LATE = timedelta(minutes=1)
"""A time this long ago was missed; ticks come every few seconds."""


async def tick(resources: Resources) -> None:
    """Run every timer that is due, each in a transaction of its own, once however many processes do this.

    Raises:
        ExceptionGroup: What went wrong with some, beyond what their history tells; they stay due.
    """
    now = resources.clock.now()
    async with resources.database.across_tenants() as tx:
        due = [(row["tenant_id"], row["id"]) for row in await tx.all(repository.DUE, {"now": now})]
    errors: list[Exception] = []
    for tenant_id, timer_id in due:
        try:
            async with resources.database.transaction(tenant_id) as tx:
                await _run_due(tx, timer_id, now)
        except Exception as error:  # noqa: BLE001 - one tenant's fault must not stop the others; raised below
            error.add_note(f"timer {timer_id} of tenant {tenant_id}")
            errors.append(error)
    if errors:
        message = "timers could not run"
        raise ExceptionGroup(message, errors)


async def _run_due(tx: Tx, timer_id: UUID, now: datetime) -> None:
    timer = await repository.claim_due(tx, timer_id, now)
    if timer is None or timer.next_at is None:
        return
    # However many times were missed, there is one line: the first of them.
    moved_on = {"next_at": cron.next_time(timer.plan.cron, timer.plan.zone, now)}
    if timer.plan.missed is Missed.SKIP and now - timer.next_at > LATE:
        run = TimerRun(uuid7(), timer.id, Trigger.CLOCK, Outcome.SKIPPED, timer.next_at, now)
    else:
        run = await _carry_out(tx, system_subject(tx.tenant), timer, Trigger.CLOCK, timer.next_at, now)
    await _record(tx, system_subject(tx.tenant), run, moved_on)


async def run_now(tx: Tx, subject: Subject, timer_id: UUID, *, now: datetime) -> TimerRun:
    """Run a timer at once, also one that is switched off; its timetable stays as it is.

    Raises:
        TimerNotFound: It is not there. What goes wrong in the action is told by the run.
    """
    timer = await repository.find(tx, timer_id, lock=True)
    if timer is None:
        raise TimerNotFound
    run = await _carry_out(tx, subject, timer, Trigger.MANUAL, now, now)
    await _record(tx, subject, run, {})
    return run


async def _carry_out(
    tx: Tx, subject: Subject, timer: Timer, trigger: Trigger, due_at: datetime, now: datetime
) -> TimerRun:
    run_id = uuid7()
    try:
        # A savepoint: what a failing action did is undone, its line of history stays.
        async with tx.connection.begin_nested():
            result = await catalog.read(timer.plan.action).run(tx, subject, timer.plan.name)
    except (Invalid, NotFound, Conflict, Forbidden) as error:
        return TimerRun(run_id, timer.id, trigger, Outcome.FAILED, due_at, now, {}, error.code, str(error))
    return TimerRun(run_id, timer.id, trigger, Outcome.DONE, due_at, now, result)


async def _record(tx: Tx, subject: Subject, run: TimerRun, moved_on: Mapping[str, Any]) -> None:
    await repository.add_run(tx, run, moved_on=moved_on)
    ran = TimerRan(timer_id=run.timer_id, run_id=run.id, trigger=run.trigger, outcome=run.outcome, code=run.code)
    await outbox.append(tx, ran)
    await audit.record(tx, subject, "timer.ran", run.timer_id, {"outcome": run.outcome.value})
