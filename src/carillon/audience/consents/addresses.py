"""Addresses as people write them, in the form in which identities are stored: what suppressions are hashed from."""

import re
from collections.abc import Callable, Mapping

import phonenumbers

from .errors import BadAddress

Address = tuple[str, str]
"""`(kind, value)` of an identity, in its normal form."""

_LONGEST = 254
_TELEGRAM_LINK = re.compile(r"(?:https?://)?(?:t\.me|telegram\.me)/", re.IGNORECASE)
_PATTERNS = {
    "telegram_id": re.compile(r"[1-9][0-9]{0,18}"),
    "telegram_username": re.compile(r"[a-z][a-z0-9_]{3,31}"),
    "whatsapp_bsuid": re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}"),
    "whatsapp_lid": re.compile(r"[0-9]{5,20}@lid"),
    "email": re.compile(r"[^@\s\"(),:;<>\[\\\]]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+"),
    "custom_id": re.compile(r".+"),
}
KINDS = ("phone", *_PATTERNS)


def read_address(kind: str, text: str, *, place: str | None = None) -> Address:
    """The address in its normal form.

    Raises:
        BadAddress: It cannot be one of this kind.
    """
    normal = _NORMAL.get(kind)
    value = normal(text.strip()) if normal else None
    pattern = _PATTERNS.get(kind)
    if value is None or (pattern and not pattern.fullmatch(value)) or not value.isprintable() or len(value) > _LONGEST:
        raise BadAddress(kind=kind, place=place)
    return kind, value


def _phone(text: str) -> str | None:
    """E.164; only numbers with their country code are understood."""
    try:
        number = phonenumbers.parse(f"+{text[2:]}" if text.startswith("00") else text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_NORMAL: Mapping[str, Callable[[str], str | None]] = {
    "phone": _phone,
    "telegram_id": lambda text: text.removeprefix("user"),
    "telegram_username": lambda text: _TELEGRAM_LINK.sub("", text, count=1).removeprefix("@").lower(),
    "whatsapp_bsuid": lambda text: text,
    "whatsapp_lid": lambda text: text.removesuffix("@lid") + "@lid",
    "email": lambda text: text.removeprefix("mailto:").lower(),
    "custom_id": lambda text: text,
}
