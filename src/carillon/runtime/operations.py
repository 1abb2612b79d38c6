"""Endpoints for operators over the spine itself: events, dead letters and jobs that failed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from carillon.events import history
from carillon.events.consumer import Consumer
from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router
from carillon.kernel.permissions import Permission
from carillon.storage import jobs

Reader = Annotated[Context, allow(Permission.EVENTS_READ)]
Writer = Annotated[Context, allow(Permission.EVENTS_WRITE)]


class EventOut(BaseModel):
    """An event as it stands in the store."""

    id: UUID
    type: str
    subject_id: UUID | None
    occurred_at: datetime
    payload: dict[str, Any]


class DeadLetterOut(BaseModel):
    """An event a consumer gave up on."""

    id: UUID
    consumer: str
    event_id: UUID
    type: str
    error_class: str
    error: str
    attempts: int
    occurred_at: datetime
    failed_at: datetime
    replayed_at: datetime | None


JobId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class FailedJobOut(BaseModel):
    """A background job that was given up; `error` is the last one, redacted."""

    id: int
    name: str
    data: Any
    attempts: int
    error: str | None
    failed_at: datetime


failed_jobs_router = router("/failed-jobs", "jobs")


@failed_jobs_router.get("", summary="List jobs that were given up, newest first")
async def list_failed_jobs(context: Reader, page: PageQuery) -> PageOut[FailedJobOut]:
    """They are kept for three months."""
    found = await jobs.failed_jobs(context.tx, page)
    items = [FailedJobOut.model_validate(job, from_attributes=True) for job in found.items]
    return PageOut(items=items, next_cursor=found.next_cursor)


@failed_jobs_router.post("/{job_id}/retry", status_code=204, summary="Queue a job that was given up again")
async def retry_failed_job(job_id: JobId, context: Writer) -> None:
    """With all its attempts."""
    await jobs.retry_failed_job(context.tx, job_id)


def operations_router(consumers: Mapping[str, Consumer]) -> APIRouter:
    """The routes; replaying needs every consumer by name."""
    routes = router("/events", "events")

    @routes.get("", summary="List events, newest first")
    async def list_events(
        context: Reader,
        page: PageQuery,
        type: Annotated[str | None, Query(max_length=100)] = None,  # noqa: A002 - the name on the wire
        subject_id: UUID | None = None,
    ) -> PageOut[EventOut]:
        found = await history.list_events(context.tx, page, kind=type, subject_id=subject_id)
        items = [
            EventOut(
                id=recorded.id,
                type=recorded.event.type,
                subject_id=recorded.event.subject_id,
                occurred_at=recorded.occurred_at,
                payload=dict(recorded.event.dump()),
            )
            for recorded in found.items
        ]
        return PageOut(items=items, next_cursor=found.next_cursor)

    @routes.get("/dead-letters", summary="List events that consumers gave up on")
    async def list_dead_letters(
        context: Reader, page: PageQuery, replayed: bool | None = None
    ) -> PageOut[DeadLetterOut]:
        found = await history.list_dead_letters(context.tx, page, replayed=replayed)
        fields = DeadLetterOut.model_fields
        items = [DeadLetterOut(**{name: getattr(letter, name) for name in fields}) for letter in found.items]
        return PageOut(items=items, next_cursor=found.next_cursor)

    @routes.post("/dead-letters/{dead_letter_id}/replay", status_code=204, summary="Hand one over again")
    async def replay_dead_letter(dead_letter_id: UUID, context: Writer) -> None:
        await history.replay(context.resources, context.tx, dead_letter_id, consumers=consumers)

    return routes
