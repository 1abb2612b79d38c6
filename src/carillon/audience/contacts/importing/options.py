"""What a person chooses for an import: which column is what, and the rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from carillon.audience.contacts.addresses import PLATFORM_OF
from carillon.audience.contacts.contracts import FieldDefinition
from carillon.audience.contacts.details import check_tags, read_country, read_zone
from carillon.audience.contacts.errors import MappingInvalid

ADDRESSES = tuple(PLATFORM_OF)
PLAIN = ("name", "first_name", "last_name", "language", "time_zone", "country", "tags")
CONSENT = ("consent", "consent_at", "consent_expires_at", "consent_source", "consent_proof")
DATES = ("consent_at", "consent_expires_at")
WHATSAPP_ID = "whatsapp_id"
FIELD = "field:"
POLICIES = ("skip", "update", "merge")


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """What the people of the file agreed to.

    Attributes:
        purpose: See `consents.contracts.Purpose`.
        platforms: Networks, or `*` for all.
        source: How the consent reached the tenant; see `consents.contracts.Source`.
        text_version: Which wording was shown.
        proof: Evidence for rows that bring none of their own.
        at: When it was given, for rows that do not say.
        until: When it ends, for rows that do not say.
        everyone: Every row is a grant; otherwise the column `consent` decides.
    """

    purpose: str = "marketing"
    platforms: tuple[str, ...] = ("*",)
    source: str = "import"
    text_version: str | None = None
    proof: str | None = None
    at: datetime | None = None
    until: datetime | None = None
    everyone: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """The choices.

    Attributes:
        mapping: Column title → target: an address kind, an attribute, a consent column or `field:<key>`.
        region: ISO country whose national phone numbers are understood.
        time_zone: For people without one in the file.
        tags: Given to everyone.
        duplicates: What happens to a contact that is known: left alone, overwritten, or completed.
        consent: None: nobody in the file agreed to anything.
        date_orders: Column → `day_first` or `month_first`, for dates such as 03/04/2026; day first where not given.
    """

    mapping: Mapping[str, str]
    region: str | None = None
    time_zone: str | None = None
    tags: tuple[str, ...] = ()
    duplicates: str = "skip"
    consent: ConsentRule | None = None
    date_orders: Mapping[str, str] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """JSON-ready, for the import's row."""
        rule = self.consent
        return {
            "mapping": dict(self.mapping),
            "region": self.region,
            "time_zone": self.time_zone,
            "tags": list(self.tags),
            "duplicates": self.duplicates,
            "date_orders": dict(self.date_orders),
            "consent": rule
            and {
                "purpose": rule.purpose,
                "platforms": list(rule.platforms),
                "source": rule.source,
                "text_version": rule.text_version,
                "proof": rule.proof,
                "at": rule.at and rule.at.isoformat(),
                "until": rule.until and rule.until.isoformat(),
                "everyone": rule.everyone,
            },
        }


def load_options(stored: Mapping[str, Any]) -> Options:
    """The choices as `Options.dump` wrote them."""
    values = dict(stored)
    rule = values.pop("consent")
    if rule is not None:
        at, until = (rule[name] and datetime.fromisoformat(rule[name]) for name in ("at", "until"))
        rule = ConsentRule(**{**rule, "platforms": tuple(rule["platforms"]), "at": at, "until": until})
    return Options(**{**values, "tags": tuple(values["tags"]), "consent": rule})


def check_mapping(
    mapping: Mapping[str, str], columns: Sequence[str], definitions: Mapping[str, FieldDefinition]
) -> None:
    """Refuse a mapping that the file or the tenant's fields do not carry.

    Raises:
        MappingInvalid: With the column as place.
    """
    used: dict[str, str] = {}
    for column, target in mapping.items():
        place = f"mapping[{column[:60]!r}]"
        if column not in columns:
            raise MappingInvalid("The file has no such column.", place=place)
        if not _is_known(target, definitions):
            raise MappingInvalid("There is no such target.", place=place, target=target[:80])
        if target in used and target not in (*ADDRESSES, WHATSAPP_ID, "tags"):
            raise MappingInvalid(f"The columns {used[target]!r} and {column!r} have the same target.", place=place)
        used[target] = column
    if not any(target in (*ADDRESSES, WHATSAPP_ID) for target in mapping.values()):
        raise MappingInvalid("No column holds an address: a phone number, a user name or an id.", place="mapping")


def _is_known(target: str, definitions: Mapping[str, FieldDefinition]) -> bool:
    if target.startswith(FIELD):
        return target.removeprefix(FIELD) in definitions
    return target in (*ADDRESSES, WHATSAPP_ID, *PLAIN, *CONSENT)


def make_options(values: Mapping[str, Any]) -> Options:
    """Options as a person sent them, normalised.

    Raises:
        MappingInvalid: The region or time zone does not exist, or a date is impossible.
        DetailInvalid: A tag is not valid.
    """
    region = values.get("region")
    if region is not None and read_country(region) is None:
        raise MappingInvalid("There is no such country.", place="region")
    zone = values.get("time_zone")
    if zone is not None and read_zone(zone) is None:
        raise MappingInvalid("There is no such time zone.", place="time_zone")
    rule = values.get("consent")
    if rule is not None:
        rule = ConsentRule(**{**rule, "platforms": _platforms(rule["platforms"])})
        if rule.at and rule.until and rule.until <= rule.at:
            raise MappingInvalid("This consent ends before it begins.", place="consent.until")
    return Options(
        **{
            **values,
            "region": region and read_country(region),
            "time_zone": zone and read_zone(zone),
            "tags": check_tags(values.get("tags", ())),
            "consent": rule,
        }
    )


def _platforms(chosen: Sequence[str]) -> tuple[str, ...]:
    """Without repetition; `*` covers the others."""
    return ("*",) if "*" in chosen else tuple(dict.fromkeys(chosen))
