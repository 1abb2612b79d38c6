"""`doctor`, `backup`, `restore` and `audit verify`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from carillon import __version__
from carillon.identity.audit import api as audit
from carillon.identity.audit.contracts import Verification
from carillon.ops.settings import Settings
from carillon.runtime import backup as backups
from carillon.runtime.compose import Prepared
from carillon.runtime.doctor import examine
from carillon.storage.resources import Resources

from .shared import AsJson, TenantSlug, local, read_settings, run, show, tenant_of, with_resources

app = typer.Typer()
audit_app = typer.Typer(help="The audit log.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at this machine and installation, and say what is wrong and what to do."""
    findings = run(examine(read_settings()))
    show(
        [finding.as_json() for finding in findings],
        as_json=as_json,
        text=lambda: "\n".join(f"{'ok  ' if f.ok else 'FAIL'} {f.name}: {f.detail}" for f in findings),
    )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")], as_json: AsJson = False
) -> None:
    """Write database and files into a folder; the vault key is not among them: keep it elsewhere."""

    async def work(settings: Settings, prepared: Prepared) -> None:
        await asyncio.to_thread(backups.write, settings, prepared, target)

    local(work)
    key = read_settings().data / "vault.key"
    text = f"written to {target}; it is of no use without the vault key ({key})"
    show({"target": str(target)}, as_json=as_json, text=lambda: text)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A folder made by backup.")],
    as_json: AsJson = False,
) -> None:
    """Bring a backup into an empty installation; what had not been delivered is quarantined, never sent again."""

    async def work(settings: Settings, prepared: Prepared) -> backups.Restored:
        return await backups.read(settings, prepared, source)

    restored = local(work)
    text = f"restored; {restored.quarantined} undelivered messages are held, {restored.paused} campaigns are paused"
    show({"held": restored.quarantined, "paused": restored.paused}, as_json=as_json, text=lambda: text)


@audit_app.command("verify")
def verify_audit(tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Recompute the hash chain of a tenant's audit log; exit status 1 when it was tampered with."""

    async def work(resources: Resources) -> Verification:
        async with tenant_of(resources, tenant) as found, resources.database.transaction(found.id) as tx:
            return await audit.verify(tx)

    result = with_resources(work)
    shown = {"ok": result.ok, "entries": result.entries, "broken_at": result.broken_at, "reason": result.reason}
    show(
        shown,
        as_json=as_json,
        text=lambda: f"{'intact' if result.ok else 'BROKEN'}: {result.entries} entries {result.reason or ''}",
    )
    if not result.ok:
        raise typer.Exit(1)


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    show({"version": __version__}, as_json=as_json, text=lambda: __version__)
