"""E-mail addresses as the key of a person."""

import re
import unicodedata

from .errors import EmailInvalid

_LONGEST = 254
# What mail servers take in practice (RFC 5321 without quoted local parts); other scripts' domains as punycode.
_FORM = re.compile(
    r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}@"
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)


def normalise_email(text: str) -> str:
    """The form under which an address is stored and found: NFC, small letters, no spaces around.

    Raises:
        EmailInvalid: It is not an address.
    """
    email = unicodedata.normalize("NFC", text.strip().lower())
    printable = all(unicodedata.category(letter)[0] not in "CZ" for letter in email)
    if len(email) > _LONGEST or not printable or not _FORM.fullmatch(email):
        raise EmailInvalid(place="email")
    return email
