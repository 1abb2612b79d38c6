"""HTTP of timers. What a timer does, its author must be allowed to do: every action sends."""

from typing import Annotated
from uuid import UUID

from carillon.gateway.context import Context, allow, require
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .schemas import TimerChangeIn, TimerIn, TimerOut, TimerRunOut

Reader = Annotated[Context, allow(Permission.TIMERS_READ)]
Writer = Annotated[Context, allow(Permission.TIMERS_WRITE)]

router = make_router("/timers", "timers")


@router.get("", summary="Timers, newest first")
async def list_timers(context: Reader, page: PageQuery) -> PageOut[TimerOut]:
    """With their next and last times."""
    found = await api.list_timers(context.tx, page)
    return PageOut(items=[TimerOut.of(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, summary="Make a timer")
async def create_timer(context: Writer, body: TimerIn) -> TimerOut:
    """Needs to be allowed to send campaigns too."""
    require(context.subject, Permission.CAMPAIGNS_SEND)
    return TimerOut.of(await api.create(context.tx, context.subject, body.plan()))


@router.get("/{timer_id}", summary="One timer")
async def get_timer(context: Reader, timer_id: UUID) -> TimerOut:
    """With its next and last times."""
    return TimerOut.of(await api.get(context.tx, timer_id))


@router.put("/{timer_id}", summary="Change a timer")
async def update_timer(context: Writer, timer_id: UUID, body: TimerChangeIn) -> TimerOut:
    """Needs to be allowed to send campaigns too; refused when somebody else changed it since it was read."""
    require(context.subject, Permission.CAMPAIGNS_SEND)
    return TimerOut.of(await api.update(context.tx, context.subject, timer_id, body.plan(), version=body.version))


@router.delete("/{timer_id}", status_code=204, summary="Remove a timer")
async def delete_timer(context: Writer, timer_id: UUID) -> None:
    """With its history."""
    await api.delete(context.tx, context.subject, timer_id)


@router.post("/{timer_id}/run", summary="Run a timer now")
async def run_timer(context: Writer, timer_id: UUID) -> TimerRunOut:
    """Needs to be allowed to send campaigns too; tells how it went, and leaves the timetable as it is."""
    require(context.subject, Permission.CAMPAIGNS_SEND)
    now = context.resources.clock.now()
    return TimerRunOut.of(await api.run_now(context.tx, context.subject, timer_id, now=now))


@router.get("/{timer_id}/history", summary="What a timer did, newest first")
async def list_timer_runs(context: Reader, timer_id: UUID, page: PageQuery) -> PageOut[TimerRunOut]:
    """Of the last 90 days."""
    found = await api.history(context.tx, timer_id, page)
    return PageOut(items=[TimerRunOut.of(item) for item in found.items], next_cursor=found.next_cursor)
