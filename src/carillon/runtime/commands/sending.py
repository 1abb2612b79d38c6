"""`campaign`: start, stop and watch campaigns."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import Subject, system_subject
from carillon.scheduling.campaigns import api as campaigns
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .shared import AsJson, TenantSlug, show, table, tenant_of, with_resources

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
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """Write a campaign; `campaign start` sends it."""
    variants = tuple(
        campaigns.CampaignVariant(chr(ord("A") + number), 1, {"": body}) for number, body in enumerate(text)
    )
    rule: dict[str, Any] = {"all": [] if tag is None else [{"attribute": "tags", "operator": "has", "value": tag}]}
    draft = campaigns.Draft(name=name, platforms=tuple(platform), variants=variants, rule=rule)

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


@group.command("progress")
def show_progress(campaign_id: UUID, tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """How far it is."""

    async def act(tx: Tx, _subject: Subject) -> dict[str, Any]:
        return asdict(await campaigns.funnel(tx, campaign_id))

    _show(_inside(tenant, act), as_json=as_json)


def _show_change(tenant: str, change: Callable[[Tx, Subject], Awaitable[campaigns.Campaign]], *, as_json: bool) -> None:
    async def act(tx: Tx, subject: Subject) -> dict[str, Any]:
        return _row(await change(tx, subject))

    _show(_inside(tenant, act), as_json=as_json)


def _show(values: dict[str, Any], *, as_json: bool) -> None:
    show(values, as_json=as_json, text=lambda: "\n".join(f"{name:14} {value}" for name, value in values.items()))
