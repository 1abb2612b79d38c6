"""`jobs`: background work that was given up."""

from typing import Annotated, Any

import typer

from carillon.kernel.paging import PageRequest
from carillon.storage import jobs
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .shared import AsJson, TenantSlug, show, table, tenant_of, with_resources

group = typer.Typer(help="Background work that was given up.", no_args_is_help=True)
app = typer.Typer()
app.add_typer(group, name="jobs")
_PAGE = 200


@group.command("failed")
def list_failed(tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Show the jobs that were given up, newest first, with their last error."""

    async def work(resources: Resources) -> list[jobs.FailedJob]:
        async with tenant_of(resources, tenant) as found, resources.database.transaction(found.id) as tx:
            return await _failed(tx)

    rows = [_row(job) for job in with_resources(work)]
    show(rows, as_json=as_json, text=lambda: table(rows, "No job was given up."))


@group.command("retry")
def retry_failed(
    job_ids: Annotated[list[int] | None, typer.Argument(min=1, max=2**63 - 1, help="As `jobs failed` shows.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every job of the tenant that was given up.")] = False,
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """Queue jobs that were given up again, with all their attempts."""
    if everything == bool(job_ids):
        raise typer.BadParameter("name the jobs, or say --all")

    async def work(resources: Resources) -> list[int]:
        async with tenant_of(resources, tenant) as found, resources.database.transaction(found.id) as tx:
            chosen = [job.id for job in await _failed(tx)] if everything else list(job_ids or ())
            for job_id in chosen:
                await jobs.retry_failed_job(tx, job_id)
            return chosen

    queued = with_resources(work)
    show({"queued": queued}, as_json=as_json, text=lambda: f"{len(queued)} queued again")


async def _failed(tx: Tx) -> list[jobs.FailedJob]:
    found: list[jobs.FailedJob] = []
    cursor: str | None = None
    while True:
        page = await jobs.failed_jobs(tx, PageRequest(limit=_PAGE, cursor=cursor))
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


def _row(job: jobs.FailedJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "attempts": job.attempts,
        "failed_at": job.failed_at.isoformat(),
        "error": job.error,
    }
