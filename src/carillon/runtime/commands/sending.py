"""`campaign`: start, stop and watch campaigns."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, astuple, fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.progress import Progress

from carillon.gateway.downloads import csv_pieces
from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import Subject, system_subject
from carillon.scheduling.campaigns import api as campaigns
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .shared import AsJson, TenantSlug, console, show, table, tenant_of, with_resources

group = typer.Typer(help="Campaigns.", no_args_is_help=True)
app = typer.Typer()
app.add_typer(group, name="campaign")
Work = Callable[[Tx, Subject], Awaitable[Any]]


def _inside(tenant: str, act: Work) -> Any:
    async def work(resources: Resources) -> Any:
        async with tenant_of(resources, tenant) as found, resources.database.transaction(found.id) as tx:
            return await act(tx, system_subject(found.id))

    return with_resources(work)


def _row(campaign: campaigns.Campaign) -> dict[str, Any]:
    return {
        "id": str(campaign.id),
        "name": campaign.draft.name,
        "state": campaign.state.value,
        "planned": campaign.planned,
        "pause_reason": campaign.pause_reason,
    }


@group.command("list")
def list_campaigns(tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Show the newest campaigns."""

    async def act(tx: Tx, _subject: Subject) -> list[dict[str, Any]]:
        return [_row(campaign) for campaign in (await campaigns.list_campaigns(tx, PageRequest(limit=200))).items]

    rows = _inside(tenant, act)
    show(rows, as_json=as_json, text=lambda: table(rows, "No campaigns."))


@group.command("create")
def create_campaign(
    name: Annotated[str, typer.Argument(help="For people.")],
    text: Annotated[list[str], typer.Option("--text", help="What to say; several are variants with equal shares.")],
    platform: Annotated[list[str], typer.Option("--platform", help="In order of preference.")],
    tag: Annotated[str | None, typer.Option(help="Only people with this tag; everyone otherwise.")] = None,
    segment: Annotated[UUID | None, typer.Option(help="Only people of this stored segment.")] = None,
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """Write a campaign; `campaign start` sends it."""
    variants = tuple(
        campaigns.CampaignVariant(chr(ord("A") + number), 1, {"": body}) for number, body in enumerate(text)
    )
    if segment is not None and tag is not None:
        raise typer.BadParameter("a segment or a tag, not both")
    rule: dict[str, Any] = {"all": [] if tag is None else [{"attribute": "tags", "operator": "has", "value": tag}]}
    draft = campaigns.Draft(
        name=name,
        platforms=tuple(platform),
        variants=variants,
        rule=rule if segment is None else None,
        segment_id=segment,
    )

    async def act(tx: Tx, subject: Subject) -> dict[str, Any]:
        return _row(await campaigns.create(tx, subject, draft))

    created = _inside(tenant, act)
    show(created, as_json=as_json, text=lambda: f"created {created['id']}")


@group.command("review")
def review_campaign(campaign_id: UUID, tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Tell who would get it and who would not, and how long it takes."""

    async def act(tx: Tx, _subject: Subject) -> dict[str, Any]:
        return {**asdict(await campaigns.review(tx, campaign_id)), "by_account": None}

    _show(_inside(tenant, act), as_json=as_json)


@group.command("start")
def start_campaign(campaign_id: UUID, tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Start a draft."""
    _show_change(tenant, lambda tx, subject: campaigns.start(tx, subject, campaign_id), as_json=as_json)


@group.command("pause")
def pause_campaign(campaign_id: UUID, tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Let nothing more of it go out."""
    _show_change(tenant, lambda tx, subject: campaigns.pause(tx, campaign_id, subject=subject), as_json=as_json)


@group.command("resume")
def resume_campaign(campaign_id: UUID, tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Go on with a paused campaign."""
    _show_change(tenant, lambda tx, subject: campaigns.resume(tx, subject, campaign_id), as_json=as_json)


@group.command("cancel")
def cancel_campaign(campaign_id: UUID, tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Stop a campaign for good."""
    _show_change(tenant, lambda tx, subject: campaigns.cancel(tx, subject, campaign_id), as_json=as_json)


@group.command("test")
def send_test(
    campaign_id: UUID,
    contact: Annotated[UUID, typer.Option(help="Who gets it; they must have agreed to be written to.")],
    account: Annotated[UUID, typer.Option(help="The account it comes from.")],
    variant: Annotated[str, typer.Option(help="Which text.")] = "A",
    language: Annotated[str | None, typer.Option(help="Instead of the person's own.")] = None,
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """Send one variant to one person."""

    async def act(tx: Tx, subject: Subject) -> dict[str, Any]:
        sent = await campaigns.send_test(
            tx, subject, campaign_id, contact_id=contact, variant=variant, language=language, account_id=account
        )
        return {"message_id": str(sent.id), "state": sent.state.value, "text": sent.body}

    _show(_inside(tenant, act), as_json=as_json)


@group.command("clone")
def clone_campaign(
    campaign_id: UUID,
    name: Annotated[str | None, typer.Option(help="Of the copy.")] = None,
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """Write a new draft like a campaign, whatever its state."""

    async def act(tx: Tx, subject: Subject) -> dict[str, Any]:
        return _row(await campaigns.clone(tx, subject, campaign_id, name=name))

    _show(_inside(tenant, act), as_json=as_json)


@group.command("progress")
def show_progress(
    campaign_id: UUID,
    follow: Annotated[bool, typer.Option("--follow", help="Show a bar until nothing more can go.")] = False,
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """How far it is."""

    async def work(resources: Resources) -> dict[str, Any]:
        async with tenant_of(resources, tenant) as found:
            return asdict(await _followed(resources, found.id, campaign_id, follow=follow))

    _show(with_resources(work), as_json=as_json)


async def _followed(resources: Resources, tenant_id: UUID, campaign_id: UUID, *, follow: bool) -> campaigns.Funnel:
    with Progress(*Progress.get_default_columns(), console=console, transient=True, disable=not follow) as bar:
        task = bar.add_task("sending", total=None)
        while True:
            async with resources.database.transaction(tenant_id) as tx:
                campaign = await campaigns.get(tx, campaign_id)
                funnel = await campaigns.funnel(tx, campaign_id)
            moving = campaign.state in (campaigns.CampaignState.PLANNING, campaigns.CampaignState.RUNNING)
            if not follow or not moving or (campaign.planning_done and not funnel.remaining):
                return funnel
            bar.update(task, total=campaign.planned or None, completed=campaign.planned - funnel.remaining)
            await asyncio.sleep(1.0)


@group.command("export")
def export_recipients(
    campaign_id: UUID,
    file: Annotated[Path, typer.Argument(dir_okay=False, help="CSV file to write; it must not exist yet.")],
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """Write the people of a campaign, with what became of each message, into a CSV file."""
    if file.exists():
        raise typer.BadParameter(f"{file} exists already", param_hint="FILE")

    async def work(resources: Resources) -> int:
        async with tenant_of(resources, tenant) as found:
            async with resources.database.transaction(found.id) as tx:
                await campaigns.get(tx, campaign_id)
            return await _write_recipients(resources, found.id, campaign_id, file)

    written = with_resources(work)
    show({"file": str(file), "rows": written}, as_json=as_json, text=lambda: f"{written} rows in {file}")


async def _write_recipients(resources: Resources, tenant_id: UUID, campaign_id: UUID, file: Path) -> int:
    names, written = [one.name for one in fields(campaigns.Recipient)], 0

    async def rows() -> AsyncIterator[list[Any]]:
        nonlocal written
        async for one in campaigns.every_recipient(resources, tenant_id, campaign_id):
            written += 1
            yield [value.isoformat() if isinstance(value, datetime) else value for value in astuple(one)]

    # Beside it first: nobody takes a half-written file for the whole.
    unfinished = file.with_name(f".{file.name}.part")
    try:
        with unfinished.open("wb") as out:
            async for piece in csv_pieces(rows(), names):
                out.write(piece)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def _show_change(tenant: str, change: Callable[[Tx, Subject], Awaitable[campaigns.Campaign]], *, as_json: bool) -> None:
    async def act(tx: Tx, subject: Subject) -> dict[str, Any]:
        return _row(await change(tx, subject))

    _show(_inside(tenant, act), as_json=as_json)


def _show(values: dict[str, Any], *, as_json: bool) -> None:
    show(values, as_json=as_json, text=lambda: "\n".join(f"{name:14} {value}" for name, value in values.items()))
