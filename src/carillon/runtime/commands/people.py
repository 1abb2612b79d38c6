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
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="COLUMN=TARGET where the suggestion is wrong; COLUMN= leaves it out."),
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Try the whole file and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import people with their consent; survives a kill and goes on when started again."""
    if not file.is_file():
        raise typer.BadParameter(f"{file} is not a plain file but a device or a pipe", param_hint="file")
    rule = consent_rule(proof, everyone=everyone, consented_at=consented_at)
    said = mapping_of(mapping or [])

    async def work(resources: Resources) -> Import:
        async with tenant_of(resources, tenant) as found:
            started = await upload_file(
                resources,
                found.id,
                file,
                consent=rule,
                region=region,
                time_zone=time_zone,
                duplicates=duplicates,
                extra_mapping=said,
                dry=dry,
            )
            with _bar() as bar:
                task = bar.add_task("trying" if dry else "importing", total=max(1, started.size))
                ended = await run_here(
                    resources, found.id, started.id, lambda now: bar.update(task, completed=now.done_bytes)
                )
            if ended.status is ImportStatus.READY:
                async with resources.database.transaction(found.id) as tx:
                    await contacts.cancel(tx, ended.id, resources)
            return ended

    done = with_resources(work)
    show(report(done), as_json=as_json, text=lambda: "\n".join(f"{k:12} {v}" for k, v in report(done).items()))
    if done.status not in (ImportStatus.DONE, ImportStatus.READY):
        raise typer.Exit(1)


_FIGURES = ("rows", "created", "updated", "skipped", "duplicates", "rejected", "warnings", "opted_out", "unsendable")


def report(done: Import) -> dict[str, Any]:
    """The figures of an import, or what they would be; its error if it has one."""
    shown: dict[str, Any] = {"import_id": str(done.id), "status": done.status.value}
    if done.status is ImportStatus.READY:
        figures = {name: done.report.get(name, 0) for name in (*_FIGURES, "codes")}
        shown |= {"status": "tried", "mapping": done.options["mapping"], **figures}
    else:
        shown |= {name: getattr(done, name) for name in _FIGURES}
    return shown | ({"error": done.error} if done.error else {})


def mapping_of(said: list[str]) -> dict[str, str]:
    """`COLUMN=TARGET`, as often as wanted; the column may hold an equals sign itself.

    Raises:
        typer.BadParameter: There is none.
    """
    for one in said:
        if "=" not in one:
            raise typer.BadParameter(f"{one!r} is not COLUMN=TARGET", param_hint="--map")
    return {column: target for column, _, target in (one.rpartition("=") for one in said)}


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
