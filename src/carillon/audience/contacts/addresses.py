"""Addresses: their kinds, their normal forms, and which of them a network is reached by. Pure."""

import re
from collections.abc import Iterable, Mapping

from .contracts import Address, AddressKind
from .errors import AddressInvalid
from .phones import BadPhone, normalise_phone

PLATFORM_OF: Mapping[str, str] = {
    "phone": "*",
    "email": "*",
    "telegram_id": "telegram",
    "telegram_username": "telegram",
    "whatsapp_bsuid": "whatsapp",
    "whatsapp_lid": "whatsapp",
    "custom_id": "custom",
}

NETWORKS = ("telegram", "whatsapp", "custom")

# What a network is reached by, best first. A user name can change hands, an id cannot; a number is known to both.
PREFERENCE: Mapping[str, tuple[str, ...]] = {
    "telegram": ("telegram_id", "telegram_username", "phone"),
    "whatsapp": ("whatsapp_bsuid", "phone", "whatsapp_lid"),
    "custom": ("custom_id", "phone", "email"),
}

_LONGEST = 254
_USERNAME = re.compile(r"[a-z][a-z0-9_]{3,31}")
_TELEGRAM_LINK = re.compile(r"(?:https?://)?(?:t\.me|telegram\.me)/", re.IGNORECASE)
_TELEGRAM_ID = re.compile(r"[1-9][0-9]{0,18}")
# WhatsApp's business-scoped user id: a country, a dot and up to 128 letters or digits; `ENT.` for a parent's.
_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_LID = re.compile(r"([0-9]{5,20})(?:@lid)?")
_EMAIL = re.compile(r"[^@\s\"(),:;<>\[\\\]]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")


def parse_address(kind: str, text: str, *, region: str | None = None, place: str | None = None) -> Address:
    """The address in its normal form.

    Args:
        kind: A value of `AddressKind`.
        text: As written by a person or a platform.
        region: ISO country whose national phone numbers are understood; none: only international ones.
        place: Named in the error.

    Raises:
        AddressInvalid: It cannot be one; `data["reason"]` is a stable code.
    """
    reader = _READERS.get(kind)
    if reader is None:
        raise AddressInvalid(f"There is no address kind {kind[:40]!r}.", place=place, reason="kind_unknown")
    if kind == "phone":
        try:
            return Address(AddressKind.PHONE, normalise_phone(text, region).e164)
        except BadPhone as error:
            raise AddressInvalid(error.message, place=place, kind=kind, reason=f"phone_{error.code}") from error
    value = reader(text.strip())
    if value is None:
        raise AddressInvalid(place=place, kind=kind, reason=f"{kind}_invalid")
    return Address(AddressKind(kind), value)


def best_peers(addresses: Iterable[Address]) -> dict[str, str]:
    """The best address per network, of a contact that has only these; the first of a kind counts."""
    first: dict[str, str] = {}
    for address in addresses:
        first.setdefault(address.kind.value, address.value)
    return {
        network: next(first[kind] for kind in kinds if kind in first)
        for network, kinds in PREFERENCE.items()
        if any(kind in first for kind in kinds)
    }


def read_username(text: str) -> str | None:
    """A Telegram user name, without @ or link, in lower case (Telegram ignores case); 4 to 32 characters."""
    name = _TELEGRAM_LINK.sub("", text, count=1).removeprefix("@").lower()
    return name if _USERNAME.fullmatch(name) else None


def read_telegram_id(text: str) -> str | None:
    """A Telegram user's number, also as Telegram Desktop writes it: `user123`."""
    number = text.removeprefix("user")
    return number if _TELEGRAM_ID.fullmatch(number) else None


def read_bsuid(text: str) -> str | None:
    """WhatsApp's business-scoped user id, e.g. `US.13491208655302741918`."""
    return text if _BSUID.fullmatch(text) else None


def read_lid(text: str) -> str | None:
    """WhatsApp's hidden id, always with `@lid`, so that it never passes for a phone number."""
    found = _LID.fullmatch(text)
    return f"{found[1]}@lid" if found else None


def read_email(text: str) -> str | None:
    """An e-mail address in lower case."""
    address = text.removeprefix("mailto:").lower()
    return address if len(address) <= _LONGEST and _EMAIL.fullmatch(address) else None


def read_custom_id(text: str) -> str | None:
    """An id of the tenant's own system, as it is."""
    return text if text and len(text) <= _LONGEST and text.isprintable() else None


_READERS = {
    "phone": read_custom_id,
    "telegram_id": read_telegram_id,
    "telegram_username": read_username,
    "whatsapp_bsuid": read_bsuid,
    "whatsapp_lid": read_lid,
    "email": read_email,
    "custom_id": read_custom_id,
}
