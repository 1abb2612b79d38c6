"""Drafts: their stored form, and what makes one fit to be sent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter

from carillon.platforms.templates import api as templates

from .contracts import CampaignSchedule, CampaignVariant, Draft, Guards, ScheduleKind
from .errors import CampaignInvalid

LONGEST = 4096


def dump(draft: Draft) -> dict[str, Any]:
    """As JSON."""
    return {
        "name": draft.name,
        "description": draft.description,
        "platforms": list(draft.platforms),
        "variants": [{"name": v.name, "weight": v.weight, "texts": dict(v.texts)} for v in draft.variants],
        "segment_id": str(draft.segment_id) if draft.segment_id else None,
        "rule": draft.rule,
        "account_ids": [str(account_id) for account_id in draft.account_ids] if draft.account_ids is not None else None,
        "account_labels": list(draft.account_labels),
        "schedule": {
            "kind": draft.schedule.kind.value,
            "at": draft.schedule.at.isoformat() if draft.schedule.at else None,
            "cron": draft.schedule.cron,
            "zone": draft.schedule.zone,
        },
        "guards": {
            "failure_rate": draft.guards.failure_rate,
            "opt_out_rate": draft.guards.opt_out_rate,
            "restricted_accounts": draft.guards.restricted_accounts,
            "minimum": draft.guards.minimum,
        },
    }


def load(raw: Mapping[str, Any]) -> Draft:
    """From JSON."""
    schedule = raw["schedule"]
    return Draft(
        name=raw["name"],
        description=raw["description"],
        platforms=tuple(raw["platforms"]),
        variants=tuple(CampaignVariant(**variant) for variant in raw["variants"]),
        segment_id=UUID(raw["segment_id"]) if raw["segment_id"] else None,
        rule=raw["rule"],
        account_ids=tuple(map(UUID, raw["account_ids"])) if raw["account_ids"] is not None else None,
        account_labels=tuple(raw["account_labels"]),
        schedule=CampaignSchedule(
            kind=ScheduleKind(schedule["kind"]),
            at=datetime.fromisoformat(schedule["at"]) if schedule["at"] else None,
            cron=schedule["cron"],
            zone=schedule["zone"],
        ),
        guards=Guards(**raw["guards"]),
    )


def check(draft: Draft) -> None:
    """Whether the draft could be sent, apart from its audience and accounts.

    Raises:
        CampaignInvalid: With the place of the first fault.
        carillon.platforms.templates.errors.BadTemplate: A text is no template; `place` names it.
    """
    if (draft.segment_id is None) == (draft.rule is None):
        raise CampaignInvalid("Name a segment or write a rule, not both.", place="segment_id")
    if not draft.platforms:
        raise CampaignInvalid("Choose at least one platform.", place="platforms")
    if not draft.variants:
        raise CampaignInvalid("Write at least one variant.", place="variants")
    if len({variant.name for variant in draft.variants}) < len(draft.variants):
        raise CampaignInvalid("Two variants have the same name.", place="variants")
    for number, variant in enumerate(draft.variants):
        _check_variant(variant, f"variants.{number}")
    _check_schedule(draft.schedule)


def _check_variant(variant: CampaignVariant, place: str) -> None:
    if variant.weight < 1:
        raise CampaignInvalid("A variant's weight is at least 1.", place=f"{place}.weight")
    if "" not in variant.texts:
        raise CampaignInvalid('The text for everyone (language "") is missing.', place=f"{place}.texts")
    for language, text in variant.texts.items():
        where = f"{place}.texts.{language}"
        if not text.strip():
            raise CampaignInvalid("The text is empty.", place=where)
        if len(text) > LONGEST:
            raise CampaignInvalid(f"The text is longer than {LONGEST} characters.", place=where)
        try:
            templates.compile_text(text)
        except templates.BadTemplate as error:
            raise templates.BadTemplate(error.message, place=f"{where}, {error.place}") from error


def _check_schedule(schedule: CampaignSchedule) -> None:
    try:
        ZoneInfo(schedule.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CampaignInvalid("There is no such time zone.", place="schedule.zone") from error
    if schedule.kind in (ScheduleKind.AT, ScheduleKind.LOCAL) and schedule.at is None:
        raise CampaignInvalid("Say when.", place="schedule.at")
    if schedule.kind is ScheduleKind.AT and schedule.at is not None and schedule.at.tzinfo is None:
        raise CampaignInvalid("Say in which zone, e.g. 2026-12-24T18:00:00+01:00.", place="schedule.at")
    if schedule.kind is ScheduleKind.RECURRING and not croniter.is_valid(schedule.cron or ""):
        raise CampaignInvalid("Write five fields, e.g. 0 9 * * 1 for Mondays at nine.", place="schedule.cron")


def next_occurrence(schedule: CampaignSchedule, after: datetime) -> datetime:
    """When a recurring campaign is due next: cron in its zone, so daylight saving keeps the wall-clock time."""
    local = after.astimezone(ZoneInfo(schedule.zone))
    due: datetime = croniter(schedule.cron, local).get_next(datetime)
    return due.astimezone(UTC)
