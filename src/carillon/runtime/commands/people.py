"""`import`: a contact file into a tenant."""

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
        bool, typer.Option("--everyone-consented", help="Every row is a grant; needs --proof.")
    ] = False,
    region: Annotated[str | None, typer.Option(help="Country of numbers without a country code, e.g. CN.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Zone of people without one.")] = None,
    duplicates: Annotated[str, typer.Option(help="skip, update or merge known people.")] = "skip",
    as_json: AsJson = False,
) -> None:
    """Import people with their consent; survives a kill and goes on when started again."""
    if everyone and not proof:
        raise typer.BadParameter("--everyone-consented needs --proof: without evidence nobody can be written to")
    rule = contacts.ConsentRule(proof=proof, everyone=everyone)

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


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
