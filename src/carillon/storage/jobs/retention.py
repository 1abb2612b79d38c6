"""What the queue leaves behind: old log lines go, failed jobs stay until somebody looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carillon.kernel.errors import Invalid, NotFound
from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .declaration import Timed

_LOG_DAYS = 7
_FAILED_DAYS = 90
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that was given up.

    Attributes:
        id: Retry it by this.
        name: `Job.name`.
        data: Its payload.
        attempts: How often it was begun.
        error: The last error, redacted.
        failed_at: When it was given up.
    """

    id: int
    name: str
    data: Any
    attempts: int
    error: str | None
    failed_at: datetime


class FailedJobNotFound(NotFound):
    """There is no such failed job."""

    code = "failed_job_not_found"


class BadJobCursor(Invalid):
    """The cursor is not one of ours; start again without it."""

    code = "bad_cursor"


async def failed_jobs(tx: Tx, page: PageRequest) -> Page[FailedJob]:
    """The tenant's jobs that were given up, newest first.

    Raises:
        BadJobCursor: The page's cursor is not ours.
    """
    rows: Sequence[Any] = await tx.all(
        "SELECT * FROM queue.failed_jobs(CAST(:after AS bigint), CAST(:wanted AS integer))",
        {"after": _after(page.cursor), "wanted": page.limit + 1},
    )
    items = [FailedJob(**row) for row in rows[: page.limit]]
    return Page(items, str(items[-1].id) if len(rows) > page.limit else None)


async def retry_failed_job(tx: Tx, job_id: int) -> None:
    """Queue a job that was given up again, with all its attempts.

    Raises:
        FailedJobNotFound: The tenant has no such job.
    """
    if not await tx.scalar("SELECT queue.retry_failed_job(CAST(:id AS bigint))", {"id": job_id}):
        raise FailedJobNotFound


def _after(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    # What PostgreSQL takes as a bigint, and nothing that only Python takes as a number.
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _DIGITS):
        raise BadJobCursor(place="query parameter cursor")
    return int(cursor)


async def prune(resources: Resources) -> None:
    """Remove the queue's log lines after a week and failed jobs after three months."""
    async with resources.database.across_tenants() as tx:
        await tx.execute(
            "DELETE FROM queue.pgqueuer WHERE status = 'failed' AND updated < now() - make_interval(days => :days)",
            {"days": _FAILED_DAYS},
        )
        await tx.execute(
            "DELETE FROM queue.pgqueuer_log l WHERE created < now() - make_interval(days => :days) "
            "AND NOT EXISTS (SELECT FROM queue.pgqueuer j WHERE j.id = l.job_id)",
            {"days": _LOG_DAYS},
        )


PRUNE = Timed("jobs.prune", "23 * * * *", prune)
