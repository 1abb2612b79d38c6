"""`delivery`: the life of one message, and what does not move."""

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import typer

from carillon.kernel.subject import system_subject
from carillon.platforms.delivery import api as delivery
from carillon.storage.resources import Resources

from .shared import AsJson, TenantSlug, show, tenant_of, with_resources

group = typer.Typer(help="The send ledger.", no_args_is_help=True)
app = typer.Typer()
app.add_typer(group, name="delivery")

_HEADINGS = {
    delivery.Language.ENGLISH: ("Message", "What happened", "Now", "Next", "What you can do", "Nothing is needed."),
    delivery.Language.CHINESE: ("消息", "经过", "现状", "之后", "您可以", "无需操作。"),
}


@group.command("explain")
def explain_message(
    message_id: UUID,
    language: Annotated[delivery.Language, typer.Option(help="Of the sentences.")] = delivery.Language.ENGLISH,
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """Tell the whole life of one message in words."""

    async def work(resources: Resources) -> delivery.Explanation:
        async with tenant_of(resources, tenant) as found, resources.database.transaction(found.id) as tx:
            return await delivery.explain(tx, message_id)

    explanation = with_resources(work)
    show(_plain(explanation, language), as_json=as_json, text=lambda: _story(explanation, language))


def _plain(explanation: delivery.Explanation, language: delivery.Language) -> dict[str, Any]:
    def plain(step: delivery.Step) -> dict[str, Any]:
        return {**asdict(step), "text": delivery.tell(step, language)}

    return {
        "message_id": explanation.message_id,
        "state": explanation.state.value,
        "steps": [plain(step) for step in explanation.steps],
        "now": plain(explanation.now),
        "next": plain(explanation.next),
        "advice": [plain(step) for step in explanation.advice],
    }


def _story(explanation: delivery.Explanation, language: delivery.Language) -> str:
    title, happened, now, following, advice, nothing = _HEADINGS[language]
    lines = [f"{title} {explanation.message_id}", "", f"{happened}:"]
    lines += [f"  {delivery.moment(step.at):23}  {delivery.tell(step, language)}" for step in explanation.steps]
    lines += ["", f"{now}: {delivery.tell(explanation.now, language)}"]
    lines += [f"{following}: {delivery.tell(explanation.next, language)}", f"{advice}:"]
    lines += [f"  - {delivery.tell(step, language)}" for step in explanation.advice] or [f"  {nothing}"]
    return "\n".join(lines)


class Decision(StrEnum):
    """What becomes of messages that a restore held."""

    SEND = "send"
    CANCEL = "cancel"


@group.command("release")
def release_restored(
    decision: Annotated[
        Decision, typer.Argument(help="send: some may arrive twice, if they left after the backup was made.")
    ],
    campaign: Annotated[UUID | None, typer.Option(help="Only the messages of this campaign.")] = None,
    account: Annotated[UUID | None, typer.Option(help="Only the messages of this account.")] = None,
    tenant: TenantSlug = "default",
    as_json: AsJson = False,
) -> None:
    """Send or cancel the messages that `carillon restore` held."""

    async def work(resources: Resources) -> int:
        changed, more = 0, True
        async with tenant_of(resources, tenant) as found:
            while more:
                async with resources.database.transaction(found.id) as tx:
                    count, more = await delivery.release_restored(
                        tx,
                        system_subject(found.id),
                        action=decision.value,
                        campaign_id=campaign,
                        account_id=account,
                    )
                changed += count
        return changed

    changed = with_resources(work)
    word = "queued" if decision is Decision.SEND else "cancelled"
    show({word: changed}, as_json=as_json, text=lambda: f"{changed} messages {word}")


@group.command("stuck")
def list_stuck(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Slug of the tenant; all when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what does not move, why, and what would free it; exit status 1 when there is anything."""

    async def work(resources: Resources) -> list[delivery.Stuck]:
        if tenant is None:
            async with resources.database.across_tenants() as tx:
                return await delivery.find_stuck(tx)
        async with tenant_of(resources, tenant) as found, resources.database.transaction(found.id) as tx:
            return await delivery.find_stuck(tx)

    found = with_resources(work)
    show([asdict(one) for one in found], as_json=as_json, text=lambda: _report(found))
    if found:
        raise typer.Exit(1)


def _report(found: list[delivery.Stuck]) -> str:
    if not found:
        return "Nothing is stuck."
    return "\n\n".join(
        "\n".join(
            [
                f"{one.kind}: {one.count}" + (f", since {delivery.moment(one.since)}" if one.since else ""),
                *[
                    f"  {name} {value}"
                    for name, value in (
                        ("tenant", one.tenant_id),
                        ("account", one.account_id),
                        ("campaign", one.campaign_id),
                    )
                    if value
                ],
                f"  why: {one.why}",
                f"  to mend: {one.mend}",
            ]
        )
        for one in found
    )
