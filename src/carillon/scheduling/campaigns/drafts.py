"""Drafts: their stored form, and what makes one fit to be sent."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from carillon.platforms.connectors.port import Platform
from carillon.platforms.templates import api as templates
from carillon.scheduling import cron

from .contracts import CampaignSchedule, CampaignVariant, Draft, Guards, ScheduleKind
from .errors import CampaignInvalid

LONGEST = 4096
"""Characters of a text: the least of what the platforms take."""

MOST_VARIANTS = 10
MOST_LANGUAGES = 50
MOST_WEIGHT = 1000
LONGEST_NAME = 200

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
"""BCP 47 as far as texts need it."""
_VARIANT = re.compile(r"[^\W_][\w .-]{0,49}")
_YEARS = (2000, 2200)
_FIRST_ZONE = timedelta(hours=14)
_DAY = timedelta(days=1)
_LATE = timedelta(hours=1)
"""Whoever starts a campaign a little after its time means it; a date of last year is a slip."""


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
    if not 0 < len(draft.name.strip()) <= LONGEST_NAME:
        raise CampaignInvalid(f"Give 1 to {LONGEST_NAME} characters.", place="name")
    if (draft.segment_id is None) == (draft.rule is None):
        raise CampaignInvalid("Name a segment or write a rule, not both.", place="segment_id")
    known = {platform.value for platform in Platform}
    if not draft.platforms or len(set(draft.platforms)) < len(draft.platforms) or not known.issuperset(draft.platforms):
        raise CampaignInvalid(f"Choose of {', '.join(sorted(known))}, each once.", place="platforms")
    if not 1 <= len(draft.variants) <= MOST_VARIANTS:
        raise CampaignInvalid(f"Write 1 to {MOST_VARIANTS} variants.", place="variants")
    if len({variant.name for variant in draft.variants}) < len(draft.variants):
        raise CampaignInvalid("Two variants have the same name.", place="variants")
    for number, variant in enumerate(draft.variants):
        _check_variant(variant, f"variants.{number}")
    _check_schedule(draft.schedule)
    _check_guards(draft.guards)


def _check_variant(variant: CampaignVariant, place: str) -> None:
    if not _VARIANT.fullmatch(variant.name):
        raise CampaignInvalid("A variant's name is 1 to 50 letters, digits, blanks, - and _.", place=f"{place}.name")
    if not 1 <= variant.weight <= MOST_WEIGHT:
        raise CampaignInvalid(f"A variant's weight is 1 to {MOST_WEIGHT}.", place=f"{place}.weight")
    if "" not in variant.texts:
        raise CampaignInvalid('The text for everyone (language "") is missing.', place=f"{place}.texts")
    if len(variant.texts) > MOST_LANGUAGES:
        raise CampaignInvalid(f"At most {MOST_LANGUAGES} languages.", place=f"{place}.texts")
    seen: set[str] = set()
    for language, text in variant.texts.items():
        where = f"{place}.texts.{language[:20] or '*'}"
        if language and not _LANGUAGE.fullmatch(language):
            raise CampaignInvalid("Give the language as BCP 47, e.g. zh-CN.", place=where)
        if language.lower() in seen:
            raise CampaignInvalid("This language is there twice.", place=where)
        seen.add(language.lower())
        _check_text(text, where)


def _check_text(text: str, place: str) -> None:
    if not text.strip():
        raise CampaignInvalid("The text is empty.", place=place)
    if len(text) > LONGEST:
        raise CampaignInvalid(f"The text is longer than {LONGEST} characters.", place=place)
    try:
        templates.compile_text(text)
    except templates.BadTemplate as error:
        raise templates.BadTemplate(error.message, place=f"{place}, {error.place}") from error


def _check_schedule(schedule: CampaignSchedule) -> None:
    if not cron.is_zone(schedule.zone):
        raise CampaignInvalid("There is no such time zone.", place="schedule.zone")
    dated = schedule.kind in (ScheduleKind.AT, ScheduleKind.LOCAL)
    if dated != (schedule.at is not None):
        message = "Say when." if dated else "A time goes with the kinds at and local only."
        raise CampaignInvalid(message, place="schedule.at")
    if schedule.at is not None:
        _check_moment(schedule.kind, schedule.at)
    recurring = schedule.kind is ScheduleKind.RECURRING
    if recurring != (schedule.cron is not None):
        message = "Write a cron expression." if recurring else "A cron expression goes with the kind recurring only."
        raise CampaignInvalid(message, place="schedule.cron")
    fault = cron.fault(schedule.cron) if schedule.cron is not None else None
    if fault is not None:
        raise CampaignInvalid(fault, place="schedule.cron")


def _check_moment(kind: ScheduleKind, at: datetime) -> None:
    if not _YEARS[0] <= at.year < _YEARS[1]:
        raise CampaignInvalid("This year is out of range.", place="schedule.at")
    if kind is ScheduleKind.AT and at.tzinfo is None:
        raise CampaignInvalid("Say in which zone, e.g. 2026-12-24T18:00:00+01:00.", place="schedule.at")
    if kind is ScheduleKind.LOCAL and at.tzinfo is not None:
        raise CampaignInvalid("A local time has no zone, e.g. 2026-12-24T18:00:00.", place="schedule.at")


def _check_guards(guards: Guards) -> None:
    for name in ("failure_rate", "opt_out_rate"):
        rate = getattr(guards, name)
        if rate is not None and not 0 <= rate <= 1:
            raise CampaignInvalid("A rate is 0 to 1.", place=f"guards.{name}")
    if guards.restricted_accounts is not None and guards.restricted_accounts < 0:
        raise CampaignInvalid("A number from 0 on.", place="guards.restricted_accounts")
    if guards.minimum < 1:
        raise CampaignInvalid("A number from 1 on.", place="guards.minimum")


def check_start(schedule: CampaignSchedule, now: datetime) -> None:
    """Whether the campaign's time is still to come.

    Who lives where a local time is past already gets the message the next day, so that must be to come everywhere.

    Raises:
        CampaignInvalid: A local time is past in the zones where the day begins first, by a day; or a moment is past by
            so much that it was not meant: everybody would be written to at once.
    """
    if schedule.kind is ScheduleKind.AT and schedule.at is not None and schedule.at + _LATE <= now:
        raise CampaignInvalid("This time is past.", place="schedule.at")
    if schedule.kind is ScheduleKind.LOCAL and schedule.at is not None:
        earliest = schedule.at.replace(tzinfo=now.tzinfo) - _FIRST_ZONE
        if earliest + _DAY <= now:
            raise CampaignInvalid("This local time is past.", place="schedule.at")


def next_occurrence(schedule: CampaignSchedule, after: datetime) -> datetime:
    """When a recurring campaign is due next; see `cron.next_time`."""
    assert schedule.cron is not None
    return cron.next_time(schedule.cron, schedule.zone, after)
