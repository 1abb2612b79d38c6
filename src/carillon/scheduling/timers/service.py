"""Timers as documents: making, finding, changing and deleting them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.kernel.errors import CarillonError
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.scheduling import cron
from carillon.storage.database import Tx

from . import repository
from .actions import catalog
from .contracts import Timer, TimerPlan, TimerRun
from .errors import TimerChanged, TimerInvalid, TimerNotFound, TooManyTimers

MOST = 500
"""Timers of one tenant."""
LONGEST_NAME = 200


async def create(tx: Tx, subject: Subject, plan: TimerPlan) -> Timer:
    """A new timer.

    Raises:
        TimerInvalid: With the place.
        TooManyTimers: There are enough.
    """
    await _check(tx, plan)
    if await repository.count(tx) >= MOST:
        raise TooManyTimers(limit=MOST)
    timer_id = uuid7()
    await repository.add(tx, {"id": timer_id, "created_by": subject.id, **_columns(plan)})
    await audit.record(tx, subject, "timer.created", timer_id, {"action": plan.action["kind"]})
    return await get(tx, timer_id)


async def get(tx: Tx, timer_id: UUID) -> Timer:
    """One timer.

    Raises:
        TimerNotFound: It is not there, or not this tenant's.
    """
    found = await repository.find(tx, timer_id)
    if found is None:
        raise TimerNotFound
    return found


async def list_timers(tx: Tx, page: PageRequest) -> Page[Timer]:
    """Timers, newest first."""
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    found = await repository.search(tx, before=before, limit=page.limit + 1)
    items = found[: page.limit]
    return Page(items, encode_cursor(str(items[-1].id)) if len(found) > page.limit else None)


async def update(tx: Tx, subject: Subject, timer_id: UUID, plan: TimerPlan, *, version: int) -> Timer:
    """Change a timer; it is due next after now.

    Raises:
        TimerNotFound, TimerChanged: It is not there, or has another version by now.
        TimerInvalid: With the place.
    """
    before = await repository.find(tx, timer_id, lock=True)
    if before is None:
        raise TimerNotFound
    if before.version != version:
        raise TimerChanged(place="version", version=before.version)
    await _check(tx, plan)
    await repository.write(tx, timer_id, _columns(plan))
    await audit.record(tx, subject, "timer.changed", timer_id, {"action": plan.action["kind"]})
    return await get(tx, timer_id)


async def delete(tx: Tx, subject: Subject, timer_id: UUID) -> None:
    """Remove a timer and its history.

    Raises:
        TimerNotFound: It is not there.
    """
    if await repository.find(tx, timer_id, lock=True) is None:
        raise TimerNotFound
    await repository.remove(tx, timer_id)
    await audit.record(tx, subject, "timer.deleted", timer_id)


async def history(tx: Tx, timer_id: UUID, page: PageRequest) -> Page[TimerRun]:
    """What a timer did in the last 90 days, newest first.

    Raises:
        TimerNotFound: It is not there.
    """
    await get(tx, timer_id)
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    found = await repository.runs(tx, timer_id, before=before, limit=page.limit + 1)
    items = found[: page.limit]
    return Page(items, encode_cursor(str(items[-1].id)) if len(found) > page.limit else None)


async def _check(tx: Tx, plan: TimerPlan) -> None:
    if not 0 < len(plan.name.strip()) <= LONGEST_NAME:
        raise TimerInvalid(f"Give 1 to {LONGEST_NAME} characters.", place="name")
    fault = cron.fault(plan.cron)
    if fault is not None:
        raise TimerInvalid(fault, place="cron")
    if not cron.is_zone(plan.zone):
        raise TimerInvalid("There is no such time zone.", place="zone")
    action = catalog.read(plan.action)
    try:
        await action.check(tx)
    except CarillonError as error:
        where = ".".join(part for part in ("action", error.place) if part)
        raise TimerInvalid(error.message, place=where, cause=error.code) from error


def _columns(plan: TimerPlan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "cron": plan.cron,
        "zone": plan.zone,
        "action": dict(plan.action),
        "enabled": plan.enabled,
        "missed": plan.missed.value,
        "next_at": cron.next_time(plan.cron, plan.zone, datetime.now(UTC)) if plan.enabled else None,
    }
