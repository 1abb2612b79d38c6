"""The details of a contact: their normal forms and limits. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from phonenumbers import SUPPORTED_REGIONS

from .addresses import parse_address
from .contracts import Address, Details, FieldDefinition
from .errors import DetailInvalid
from .fields import check_field
from .text import clean

LONGEST_NAME = 200
LONGEST_TAG = 64
MOST_TAGS = 100
MOST_ADDRESSES = 50
# Territories that have no numbering plan of their own, so phonenumbers does not list them.
COUNTRIES = frozenset(SUPPORTED_REGIONS) | {"AQ", "BV", "GS", "HM", "PN", "TF", "UM"}
# RFC 5646 langtag without extensions and private use.
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?")


@lru_cache(maxsize=1)
def zone_names() -> Mapping[str, str]:
    """IANA names by their lower-case form."""
    return {name.lower(): name for name in available_timezones()}


def read_zone(text: str) -> str | None:
    """An IANA time zone in its own spelling."""
    return zone_names().get(text.strip().replace(" ", "_").lower())


def read_language(text: str) -> str | None:
    """A BCP 47 tag in its usual letter cases: `zh-Hant-TW`."""
    found = _LANGUAGE.fullmatch(text.strip())
    if not found:
        return None
    language, script, region = found.groups()
    parts = (language.lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)


def read_country(text: str) -> str | None:
    """An ISO 3166-1 alpha-2 code."""
    code = text.strip().upper()
    return code if code in COUNTRIES else None


def read_name(text: str) -> str | None:
    """A name of at most 200 characters; longer ones are not names."""
    name = clean(text)
    return name if len(name) <= LONGEST_NAME else None


def read_tag(text: str) -> str | None:
    """A tag of 1 to 64 characters."""
    tag = clean(text)
    return tag if 0 < len(tag) <= LONGEST_TAG else None


_READERS: Mapping[str, Callable[[str], str | None]] = {
    "name": read_name,
    "first_name": read_name,
    "last_name": read_name,
    "language": read_language,
    "time_zone": read_zone,
    "country": read_country,
}


def check_details(
    values: Mapping[str, Any], definitions: Mapping[str, FieldDefinition], *, region: str | None = None
) -> Details:
    """What a person sent as details of a contact, normalised.

    Args:
        values: Attributes of `Details` by name, only those given; `addresses` as (kind, value) pairs.
        definitions: The tenant's custom fields by key.
        region: See `addresses.parse_address`.

    Raises:
        DetailInvalid, FieldInvalid, AddressInvalid: With the place.
    """
    found: dict[str, Any] = {}
    for name, read in _READERS.items():
        if name in values:
            found[name] = _read(name, values[name], read)
    if "tags" in values:
        found["tags"] = check_tags(values["tags"])
    if "fields" in values:
        found["fields"] = {
            key: check_field(definitions, key, value, place=f"fields.{key}"[:120])
            for key, value in values["fields"].items()
        }
    if "addresses" in values:
        found["addresses"] = _check_addresses(values["addresses"], region)
    return Details(**found, given=frozenset(found))


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags without repetition, in order of their text.

    Raises:
        DetailInvalid: One is empty or longer than 64 characters, or there are more than 100.
    """
    if len(tags) > MOST_TAGS:
        raise DetailInvalid(f"A contact has at most {MOST_TAGS} tags.", place="tags")
    found = set()
    for index, text in enumerate(tags):
        tag = read_tag(text)
        if tag is None:
            raise DetailInvalid(f"A tag has 1 to {LONGEST_TAG} characters.", place=f"tags[{index}]")
        found.add(tag)
    return tuple(sorted(found))


def _read(name: str, value: str | None, read: Callable[[str], str | None]) -> str | None:
    if value is None or not value.strip():
        return "" if name == "name" else None
    result = read(value)
    if result is None:
        raise DetailInvalid(f"That is not a valid {name.replace('_', ' ')}.", place=name)
    return result


def _check_addresses(pairs: Sequence[tuple[str, str]], region: str | None) -> tuple[Address, ...]:
    if len(pairs) > MOST_ADDRESSES:
        raise DetailInvalid(f"A contact has at most {MOST_ADDRESSES} addresses.", place="addresses")
    found = (
        parse_address(kind, value, region=region, place=f"addresses[{index}]")
        for index, (kind, value) in enumerate(pairs)
    )
    return tuple(dict.fromkeys(found))
