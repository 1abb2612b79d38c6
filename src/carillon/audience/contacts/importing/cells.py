"""From a cell to an attribute of a person: one small function for each target. Pure.

Each is given the person and the text of a cell that is not empty, and returns None or the code of a complaint.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from carillon.audience.contacts.columns import BadInstant, DateOrder, UnclearConsent, parse_bool_consent, parse_instant
from carillon.audience.contacts.contracts import FieldDefinition, FieldType
from carillon.audience.contacts.details import LONGEST_NAME, MOST_TAGS, read_country, read_language, read_tag, read_zone
from carillon.audience.contacts.fields import read_field
from carillon.audience.contacts.text import clean

from .person import Person

Setter = Callable[[Person, str], str | None]

_TAG_SEPARATORS = str.maketrans(dict.fromkeys(";|，；、", ","))
# Clocks of exporting machines run ahead a little, and a date without a zone may be tomorrow's elsewhere.
_TOLERANCE = timedelta(days=1)


_LONGEST_PROOF = 2_000


def date_setter(target: str, *, zone: ZoneInfo, order: DateOrder, now: datetime) -> Setter:
    """For `consent_at` and `consent_expires_at`; most files repeat a few dates, so they are remembered."""
    read = _date_reader(zone, order)

    def put(person: Person, text: str) -> str | None:
        if not text.strip():
            return None
        at = read(text)
        if at is None:
            return f"{target}_invalid"
        if target == "consent_at" and at > now:
            if at > now + _TOLERANCE:
                return "consent_at_future"
            at = now
        setattr(person, target, at)
        return None

    return put


def field_setter(definition: FieldDefinition, *, zone: ZoneInfo, order: DateOrder) -> Setter:
    """For a custom field."""
    read = _date_reader(zone, order)

    def value_of(text: str) -> Any:
        if definition.type is not FieldType.DATE:
            return read_field(definition, text)
        at = read(text)
        return at and at.astimezone(zone).date().isoformat()

    def put(person: Person, text: str) -> str | None:
        if not text.strip():
            return None
        value = value_of(text)
        if value is None:
            return "field_invalid"
        if person.fields is None:
            person.fields = {}
        person.fields[definition.key] = value
        return None

    return put


def _date_reader(zone: ZoneInfo, order: DateOrder) -> Callable[[str], datetime | None]:
    @lru_cache(maxsize=4096)
    def read(text: str) -> datetime | None:
        try:
            return parse_instant(text, zone, order)
        except BadInstant:
            return None

    return read


def _put_name(person: Person, text: str) -> str | None:
    name = clean(text)
    if len(name) > LONGEST_NAME:
        return "name_too_long"
    person.name = name
    return None


def _put_first_name(person: Person, text: str) -> str | None:
    name = clean(text)
    if len(name) > LONGEST_NAME:
        return "name_too_long"
    person.first_name = name or None
    return None


def _put_last_name(person: Person, text: str) -> str | None:
    name = clean(text)
    if len(name) > LONGEST_NAME:
        return "name_too_long"
    person.last_name = name or None
    return None


_language = lru_cache(maxsize=1024)(read_language)
_zone = lru_cache(maxsize=1024)(read_zone)
_country = lru_cache(maxsize=1024)(read_country)


def _put_language(person: Person, text: str) -> str | None:
    person.language = _language(text)
    return None if person.language or not text.strip() else "language_invalid"


def _put_zone(person: Person, text: str) -> str | None:
    person.time_zone = _zone(text)
    return None if person.time_zone or not text.strip() else "time_zone_invalid"


def _put_country(person: Person, text: str) -> str | None:
    code = _country(text)
    if code is None:
        return "country_invalid" if text.strip() else None
    person.country = code
    return None


@lru_cache(maxsize=4096)
def _read_tags(text: str) -> tuple[str, ...] | None:
    parts = [part for part in text.translate(_TAG_SEPARATORS).split(",") if part.strip()]
    tags = [read_tag(part) for part in parts]
    found = {tag for tag in tags if tag}
    return tuple(sorted(found)) if len(found) <= MOST_TAGS and None not in tags else None


def _put_tags(person: Person, text: str) -> str | None:
    tags = _read_tags(text)
    if tags is None:
        return "tags_invalid"
    if tags:
        person.tags = tuple(sorted({*person.tags, *tags})) if person.tags else tags
    return None


@lru_cache(maxsize=1024)
def _consent(text: str) -> bool | None:
    try:
        return parse_bool_consent(text)
    except UnclearConsent:
        return None


def _put_consent(person: Person, text: str) -> str | None:
    if not text.strip():
        return None
    person.consent = _consent(text)
    return "consent_unclear" if person.consent is None else None


def _put_source(person: Person, text: str) -> str | None:
    person.consent_source = clean(text)[:LONGEST_NAME] or None
    return None


def _put_proof(person: Person, text: str) -> str | None:
    person.consent_proof = clean(text)[:_LONGEST_PROOF] or None
    return None


SETTERS: Mapping[str, Setter] = {
    "name": _put_name,
    "first_name": _put_first_name,
    "last_name": _put_last_name,
    "language": _put_language,
    "time_zone": _put_zone,
    "country": _put_country,
    "tags": _put_tags,
    "consent": _put_consent,
    "consent_source": _put_source,
    "consent_proof": _put_proof,
}
