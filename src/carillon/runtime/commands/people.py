"""`import`: a contact file into a tenant."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.contracts import Import, ImportStatus
from carillon.runtime.importing import run_here, upload_file
from carillon.storage.resources import Resources

from .shared import AsJson, TenantSlug, console, show, tenant_of, with_resources

app = typer.Typer()


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, XLSX, vCard or Telegram JSON.")
    ],
    tenant: TenantSlug = "default",
    proof: Annotated[str | None, typer.Option(help="Evidence of consent for rows that bring none.")] = None,
    everyone: Annotated[
        bool, typer.Option("--everyone-consented", help="Every row is a grant; needs --proof and --consented-at.")
    ] = False,
    consented_at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="When consent was given, for rows that do not say (UTC unless it names a zone).",
        ),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Country of numbers without a country code, e.g. CN.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Zone of people without one.")] = None,
    duplicates: Annotated[str, typer.Option(help="skip, update or merge known people.")] = "skip",
    as_json: AsJson = False,
) -> None:
    """Import people with their consent; survives a kill and goes on when started again."""
    rule = consent_rule(proof, everyone=everyone, consented_at=consented_at)

    async def work(resources: Resources) -> Import:
        async with tenant_of(resources, tenant) as found:
            started = await upload_file(
                resources, found.id, file, consent=rule, region=region, time_zone=time_zone, duplicates=duplicates
            )
            with _bar() as bar:
                task = bar.add_task("importing", total=max(1, started.size))
                return await run_here(
                    resources, found.id, started.id, lambda now: bar.update(task, completed=now.done_bytes)
                )

    done = with_resources(work)
    show(report(done), as_json=as_json, text=lambda: "\n".join(f"{k:12} {v}" for k, v in report(done).items()))
    if done.status is not ImportStatus.DONE:
        raise typer.Exit(1)


def report(done: Import) -> dict[str, Any]:
    """The figures of an import."""
    names = ("rows", "created", "updated", "skipped", "duplicates", "rejected", "warnings", "opted_out", "unsendable")
    return {"import_id": str(done.id), "status": done.status.value, **{name: getattr(done, name) for name in names}}


def consent_rule(proof: str | None, *, everyone: bool, consented_at: datetime | None) -> contacts.ConsentRule:
    """What the options say of everybody's consent.

    Raises:
        typer.BadParameter: Nobody could be written to like this.
    """
    if everyone and not proof:
        raise typer.BadParameter("--everyone-consented needs --proof: without evidence nobody can be written to")
    if everyone and consented_at is None:
        raise typer.BadParameter("--everyone-consented needs --consented-at: without a date nobody can be written to")
    at = consented_at
    if at is not None:
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        if at > datetime.now(UTC):
            raise typer.BadParameter("--consented-at lies in the future: consent comes before the import")
    return contacts.ConsentRule(proof=proof, everyone=everyone, at=at)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
