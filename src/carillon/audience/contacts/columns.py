"""Guesses what the columns of a contact file mean; the user confirms the guess before anything is imported."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from .column_values import (
    WORDS,
    BadInstant,
    DateOrder,
    UnclearConsent,
    decide_order,
    looks_like_instant,
    parse_bool_consent,
    parse_instant,
)

__all__ = [
    "BadInstant",
    "DateOrder",
    "Mapping",
    "Target",
    "UnclearConsent",
    "decide_order",
    "parse_bool_consent",
    "parse_instant",
    "suggest_mapping",
]

FIELD = "field:"


class Target(StrEnum):
    """The fields of a contact a column may fill; anything else is a custom field, `field:<key>`."""

    PHONE = "phone"
    NAME = "name"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    EMAIL = "email"
    TELEGRAM_ID = "telegram_id"
    TELEGRAM_USERNAME = "telegram_username"
    WHATSAPP_ID = "whatsapp_id"
    LANGUAGE = "language"
    TIME_ZONE = "time_zone"
    TAGS = "tags"
    COUNTRY = "country"
    CONSENT = "consent"
    CONSENT_AT = "consent_at"
    CONSENT_SOURCE = "consent_source"
    CONSENT_EXPIRES_AT = "consent_expires_at"


@dataclass(frozen=True, slots=True)
class Mapping:
    """What each column means.

    Attributes:
        targets: Column index (from 0) to a `Target` value or `field:<key>`; columns left out are not imported.
        date_orders: For the date columns among them, how 03/11/2026 is read.
        assumed_orders: Those of them whose order the sample does not prove: ask the user.
    """

    targets: dict[int, str]
    date_orders: dict[int, DateOrder] = field(default_factory=dict)
    assumed_orders: frozenset[int] = frozenset()

    def column_of(self, target: Target) -> int | None:
        """Return the column that fills a target."""
        return next((index for index, name in self.targets.items() if name == target), None)


_MAY_BE_WHOLE_NAMES = {"nombre", "имя", "nome", "nom", "ad", "isim", "ten", "имя контакта"}
_DATES = {Target.CONSENT_AT, Target.CONSENT_EXPIRES_AT}
_SEPARATORS = re.compile(r"[\W_]+")
_SERIAL = re.compile(r"\b\d{1,2}\b")
_PHONE = re.compile(r"\+?[\d\s().\-]{8,24}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_MIN_DIGITS = 9
_MOST = 0.8


def suggest_mapping(
    columns: Sequence[str], sample_rows: Sequence[Sequence[str]], *, order: DateOrder = DateOrder.DAY_FIRST
) -> Mapping:
    """Guess what each column means by its name, and by its values where the name says nothing.

    Each target is given once, to the first column; a second telephone becomes a custom field. Columns without a name
    of their own (`column 3`) and without values in the sample are left out.

    Args:
        columns: Names of the columns.
        sample_rows: Some rows, the more the surer: the order of dates is decided for each whole column from them.
        order: What to assume where the sample leaves the order open.
    """
    values = [[row[index].strip() for row in sample_rows if index < len(row)] for index in range(len(columns))]
    filled = [[text for text in column if text] for column in values]
    found = _by_name(columns)
    _by_value(found, filled)
    targets: dict[int, str] = {}
    for index, name in enumerate(columns):
        if index in found:
            targets[index] = found[index].value
        elif filled[index] or not re.fullmatch(r"column \d+", name):
            targets[index] = _field_key(name, targets)
    return _with_orders(targets, filled, order)


def _by_name(columns: Sequence[str]) -> dict[int, Target]:
    """Exact names first, then names with a number (`Phone 1 - Value`), so that the better match gets the target."""
    found: dict[int, Target] = {}
    plain = [_plain(name) for name in columns]
    for read in (lambda text: text, lambda text: _plain(_SERIAL.sub(" ", text))):
        for index, text in enumerate(plain):
            target = _targets_by_name().get(read(text))
            if index not in found and target is not None and target not in found.values():
                found[index] = target
    _widen_first_name(found, plain)
    return found


def _widen_first_name(found: dict[int, Target], plain: list[str]) -> None:
    """`Nombre` or `имя` without a column for surnames holds the whole name."""
    if {Target.NAME, Target.LAST_NAME} & set(found.values()):
        return
    for index, target in found.items():
        if target is Target.FIRST_NAME and plain[index] in _MAY_BE_WHOLE_NAMES:
            found[index] = Target.NAME


@cache
def _targets_by_name() -> dict[str, Target]:
    return {_plain(name): Target(target) for target, names in WORDS["names"].items() for name in names}


def _plain(name: str) -> str:
    """Fold case, width and accents; separators become one space."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    bare = "".join(letter for letter in folded if unicodedata.category(letter) != "Mn")
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFC", bare)).strip()


def _by_value(found: dict[int, Target], filled: list[list[str]]) -> None:
    """Give telephone and e-mail to a column that clearly holds them if no name claims them."""
    tests: dict[Target, Callable[[str], bool]] = {Target.PHONE: _is_phone, Target.EMAIL: _is_email}
    for target, test in tests.items():
        if target in found.values():
            continue
        for index, texts in enumerate(filled):
            if index not in found and texts and sum(map(test, texts)) >= _MOST * len(texts):
                found[index] = target
                break


def _is_phone(text: str) -> bool:
    digits = sum(map(str.isdigit, text))
    return digits >= _MIN_DIGITS and _PHONE.fullmatch(text) is not None and not looks_like_instant(text)


def _is_email(text: str) -> bool:
    return _EMAIL.fullmatch(text) is not None


def _field_key(name: str, taken: dict[int, str]) -> str:
    """Return a custom field named after the column, in any script, unique among those taken."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    key = _SEPARATORS.sub("_", folded).strip("_")[:50] or "column"
    unique, copy = key, 2
    while FIELD + unique in taken.values():
        unique, copy = f"{key}_{copy}", copy + 1
    return FIELD + unique


def _with_orders(targets: dict[int, str], filled: list[list[str]], order: DateOrder) -> Mapping:
    orders: dict[int, DateOrder] = {}
    assumed = set()
    for index, target in targets.items():
        texts = filled[index]
        is_date = target in _DATES or (bool(texts) and sum(map(looks_like_instant, texts)) >= _MOST * len(texts))
        if is_date:
            decided = decide_order(texts)
            orders[index] = decided or order
            if decided is None and _is_ambiguous(texts):
                assumed.add(index)
    return Mapping(targets, orders, frozenset(assumed))


def _is_ambiguous(texts: list[str]) -> bool:
    return any(re.match(r"\s*\d{1,2}\s*[-/.]\s*\d{1,2}\s*[-/.]\s*\d{2,4}\b", text) for text in texts)
