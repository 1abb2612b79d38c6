"""Turns what people write as a telephone number into E.164, or says why it is none.

`phonenumbers` (Google's libphonenumber) is the reference; a number passes if it is *possible* there, that is by
its country and length, for number plans change faster than metadata. Most numbers take a short way that skips the
library's general parsing where its metadata shows that nothing would be stripped or added; tests hold both equal.
"""

import re
import sys
import unicodedata
from functools import cache, lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, ValidationResult
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

from carillon.kernel.errors import Invalid

from .phone_plans import (
    CODES,
    MAX_DIGITS,
    Phone,
    UnknownRegion,
    calling_code,
    known_region,
    region_plan,
    short_international,
)

__all__ = ["BadPhone", "Phone", "UnknownRegion", "normalise_phone", "time_zones_of"]

_MAX_TEXT = 60
_DAMAGED = re.compile(r"\+?\d+([.,]\d+)?[eE]\+?\d+")
_FLOAT = re.compile(r"\d{7,}\.0")
_SCHEME = re.compile(r"(?:tel|phone|whatsapp|sms|mobile|телефон|тел|电话|手机)\.?[:：]\s*", re.IGNORECASE)
_SEVERAL = re.compile(r"\d{6,}[;,|\n/、，；]+\+?\d{6,}")
_LETTER = re.compile(r"[^\W\d_]")
_PLAUSIBLE_ZEROS = "00"
_NANPA = "1"


class BadPhone(Invalid):
    """This is not a telephone number."""

    code = "bad_phone"


class EmptyPhone(BadPhone):
    """There is no telephone number."""

    code = "empty"


class NotANumber(BadPhone):
    """This is not a telephone number."""

    code = "not_a_number"


class PhoneHasLetters(BadPhone):
    """The telephone number holds letters or an extension."""

    code = "letters"


class DamagedBySpreadsheet(BadPhone):
    """A spreadsheet rounded the number (8.61E+12); format the column as text and export it again."""

    code = "damaged_by_spreadsheet"


class SeveralPhones(BadPhone):
    """The cell holds several telephone numbers; put each in a column of its own."""

    code = "several_numbers"


class NoCountryCode(BadPhone):
    """The number has no country code; write it with + or choose a default country."""

    code = "no_country_code"


class UnknownCountryCode(BadPhone):
    """No country has this country code."""

    code = "unknown_country_code"


class PhoneTooShort(BadPhone):
    """The number is too short for its country."""

    code = "too_short"


class PhoneTooLong(BadPhone):
    """The number is too long for its country."""

    code = "too_long"


class ImpossiblePhone(BadPhone):
    """No number of its country has this length."""

    code = "impossible"


_BAD_RESULT: dict[int, type[BadPhone]] = {
    ValidationResult.TOO_SHORT: PhoneTooShort,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: PhoneTooShort,
    ValidationResult.TOO_LONG: PhoneTooLong,
    ValidationResult.INVALID_LENGTH: ImpossiblePhone,
    ValidationResult.INVALID_COUNTRY_CODE: UnknownCountryCode,
}
_BAD_PARSE: dict[int, type[BadPhone]] = {
    NumberParseException.INVALID_COUNTRY_CODE: UnknownCountryCode,
    NumberParseException.NOT_A_NUMBER: NotANumber,
    NumberParseException.TOO_SHORT_AFTER_IDD: PhoneTooShort,
    NumberParseException.TOO_SHORT_NSN: PhoneTooShort,
    NumberParseException.TOO_LONG: PhoneTooLong,
}


def normalise_phone(text: str, default_region: str | None = None) -> Phone:
    """Normalise one number.

    Digits of any script, full-width signs, spaces, dashes, dots, brackets, slashes, a `00` instead of `+`, a leading
    `tel:` and what spreadsheets add (`'138…`, `="138…"`, `138….0`) are understood.

    Args:
        text: What the person wrote.
        default_region: Country of numbers without a country code, e.g. `"CN"`; None refuses them.

    Raises:
        BadPhone: Its subclass says why; `code` is stable.
        UnknownRegion: `default_region` does not exist.
    """
    is_plain = text.isascii() and (text[1:] if text[:1] == "+" else text).isdigit()
    number = text if is_plain else _bare(text)
    if number.startswith(_PLAUSIBLE_ZEROS):
        number = "+" + number[2:]
    if number[0] == "+":
        return short_international(number) or _by_library(number, None)
    if default_region is None:
        raise NoCountryCode
    plan = region_plan(default_region)
    return plan.short(number) or _by_library(number, default_region.upper())


def time_zones_of(e164: str) -> tuple[str, ...]:
    """Return the zones a number may be in (IANA names), all of its country if it is not bound to a place.

    Empty if the country code has none. In countries of one zone this is a look-up. A mobile number of the main
    country of a code (Russia, Australia) may be anywhere in it, whatever its prefix was once given out for.
    """
    digits = e164[1:]
    code = calling_code(digits)
    if code is None:
        return ()
    everywhere, is_single = _zones_of_code(code)
    if is_single:
        return everywhere
    if code != _NANPA and not _is_bound_to_a_place(e164, code):
        return everywhere
    return _zones_by_prefix(digits[:TIMEZONE_LONGEST_PREFIX])


class _Characters(dict[int, str | None]):
    """What to make of each character: digits of all scripts become ASCII, ornaments disappear, others stay."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        digit = unicodedata.decimal(character, None)
        if digit is not None:
            made: str | None = str(digit)
        elif character in "+＋﹢₊⁺":
            made = "+"
        elif character in ".()[]{}/'’‘`＇．・（）［］" or unicodedata.category(character) in {"Pd", "Zs", "Cf", "Cc"}:
            made = None if character not in "\n\r" else "\n"
        else:
            made = character
        if len(self) < sys.maxunicode // 100:
            self[code] = made
        return made


_CHARACTERS = _Characters({ord("−"): None})


def _bare(text: str) -> str:
    """Return an optional plus and digits only."""
    text = text.strip()
    if not text:
        raise EmptyPhone
    if len(text) > _MAX_TEXT:
        raise PhoneTooLong if sum(map(str.isdigit, text)) > MAX_DIGITS else NotANumber
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    if _DAMAGED.fullmatch(unicodedata.normalize("NFKC", text).replace(" ", "")):
        raise DamagedBySpreadsheet
    text = (
        text[:-2] if _FLOAT.fullmatch(text) else _SCHEME.sub("", text, count=1) if ":" in text or "：" in text else text
    )
    number = text.translate(_CHARACTERS).strip()
    digits = number.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        _refuse(number)
    return number


def _refuse(number: str) -> None:
    """Say why this is no number."""
    if _SEVERAL.search(number):
        raise SeveralPhones
    if _LETTER.search(number) and any(map(str.isdigit, number)):
        raise PhoneHasLetters
    raise NotANumber


def _by_library(number: str, region: str | None) -> Phone:
    """The reference: parse, demand a possible number, format."""
    try:
        parsed = phonenumbers.parse(number, region)
    except NumberParseException as error:
        raise _BAD_PARSE[error.error_type] from None
    result = phonenumbers.is_possible_number_with_reason(parsed)
    if result != ValidationResult.IS_POSSIBLE:
        raise _BAD_RESULT[result]
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if len(e164) > MAX_DIGITS + 1:
        raise PhoneTooLong
    return Phone(e164, known_region(phonenumbers.region_code_for_number(parsed)))


@cache
def _zones_of_code(code: str) -> tuple[tuple[str, ...], bool]:
    """Return the zones of a country code and whether every number of it is in the same one."""
    listed = {zones for prefix, zones in TIMEZONE_DATA.items() if prefix.startswith(code)}
    everywhere = TIMEZONE_DATA.get(code) or tuple(sorted({zone for zones in listed for zone in zones}))
    return everywhere, len(listed) <= 1 and len(everywhere) <= 1


def _is_bound_to_a_place(e164: str, code: str) -> bool:
    """Tell whether the prefix means a place: fixed lines, and all numbers of the lesser regions of a code."""
    parsed: PhoneNumber = phonenumbers.parse(e164)
    region = phonenumbers.region_code_for_number(parsed)
    if region is not None and region != CODES[code][0]:
        return True
    kind = phonenumbers.number_type(parsed)
    return bool(phonenumbers.is_number_type_geographical(kind, int(code)))


@lru_cache(maxsize=65_536)
def _zones_by_prefix(digits: str) -> tuple[str, ...]:
    for length in range(len(digits), 0, -1):
        zones = TIMEZONE_DATA.get(digits[:length])
        if zones is not None:
            return tuple(zones)
    return ()
