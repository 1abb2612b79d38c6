"""Custom fields: what a tenant defines, and which values fit. Pure."""

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from .contracts import FieldDefinition, FieldType
from .errors import FieldInvalid
from .text import clean

LONGEST_VALUE = 2_000
LONGEST_LABEL = 100
MOST_FIELDS = 200
LARGEST = 1e15
"""Beyond it JSON readers lose digits."""
MOST_CHOICES = 200
_KEY = re.compile(r"[a-z][a-z0-9_]{0,49}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_YES = frozenset({"1", "true", "yes", "y", "on", "x", "ja", "oui", "si", "sí", "sim", "да", "是", "有"})
_NO = frozenset({"0", "false", "no", "n", "off", "nein", "non", "não", "нет", "否", "无"})


def check_definition(key: str, label: str, kind: FieldType, choices: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The label and the choices of a new field, cleaned.

    Raises:
        FieldInvalid: The key, label or choices will not do.
    """
    if not _KEY.fullmatch(key):
        raise FieldInvalid("A key has a-z, 0-9 and _, begins with a letter, at most 50.", place="key")
    label = clean(label)
    if not 0 < len(label) <= LONGEST_LABEL:
        raise FieldInvalid(f"A label has 1 to {LONGEST_LABEL} characters.", place="label")
    options = tuple(dict.fromkeys(clean(choice) for choice in choices))
    if (kind is FieldType.CHOICE) != bool(options):
        raise FieldInvalid("A field of type choice, and no other, has choices.", place="choices")
    if len(options) > MOST_CHOICES or any(not 0 < len(option) <= LONGEST_LABEL for option in options):
        raise FieldInvalid(f"At most {MOST_CHOICES} choices of 1 to {LONGEST_LABEL} characters.", place="choices")
    return label, options


def check_field(definitions: Mapping[str, FieldDefinition], key: str, value: Any, *, place: str) -> Any:
    """A value from JSON, fit for the field; None stays None and means: remove.

    Raises:
        FieldInvalid: There is no such field, or the value is of another type.
    """
    definition = definitions.get(key)
    if definition is None:
        raise FieldInvalid("There is no such custom field.", place=place)
    if value is None:
        return None
    fit = _fit(definition, value)
    if fit is None:
        raise FieldInvalid(f"The value does not fit a field of type {definition.type}.", place=place)
    return fit


def read_field(definition: FieldDefinition, text: str) -> Any:
    """A cell of a file as a value of the field; None when it does not fit. Dates must be ISO 8601."""
    match definition.type:
        case FieldType.NUMBER:
            return _read_number(text)
        case FieldType.BOOLEAN:
            word = text.strip().casefold()
            return True if word in _YES else False if word in _NO else None
        case FieldType.CHOICE:
            wanted = clean(text).casefold()
            return next((choice for choice in definition.choices if choice.casefold() == wanted), None)
        case FieldType.TEXT | FieldType.DATE:
            return _fit(definition, text)


def _fit(definition: FieldDefinition, value: Any) -> Any:
    match definition.type:
        case FieldType.BOOLEAN:
            return value if isinstance(value, bool) else None
        case FieldType.NUMBER:
            return value if _is_number(value) else None
        case FieldType.TEXT:
            text = clean(value) if isinstance(value, str) else None
            return text if text is not None and len(text) <= LONGEST_VALUE else None
        case FieldType.DATE:
            return _read_date(value) if isinstance(value, str) else None
        case FieldType.CHOICE:
            return value if value in definition.choices else None


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < LARGEST
    )


def _read_number(text: str) -> int | float | None:
    plain = text.strip()
    if not _NUMBER.fullmatch(plain):
        return None
    return float(plain) if "." in plain else int(plain)


def _read_date(text: str) -> str | None:
    try:
        return date.fromisoformat(text.strip()[:10]).isoformat()
    except ValueError:
        return None
