"""`Carillon-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, both ways."""

import hmac
from collections.abc import Mapping
from datetime import datetime

HEADER = "Carillon-Signature"
TOLERANCE_SECONDS = 300
_MOST_DIGITS = 12


def signature(secret: bytes, at: datetime, body: bytes) -> str:
    """The header's value for a body sent at a time."""
    seconds = int(at.timestamp())
    return f"t={seconds},v1={_digest(secret, str(seconds), body)}"


def is_signed(secret: bytes, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
    """Whether the body was signed with the secret within five minutes of `now`.

    Several `v1` are allowed, so that a sender may change its secret without a gap.
    """
    value = next((text for name, text in headers.items() if name.lower() == HEADER.lower()), "")
    parts = [part.strip().partition("=") for part in value.split(",")]
    times = [text for name, _, text in parts if name == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= _MOST_DIGITS):
        return False
    if abs(now.timestamp() - int(times[0])) > TOLERANCE_SECONDS:
        return False
    expected = _digest(secret, times[0], body).encode()
    given = [text.encode() for name, _, text in parts if name == "v1"]
    return any(hmac.compare_digest(expected, one) for one in given)


def _digest(secret: bytes, seconds: str, body: bytes) -> str:
    return hmac.digest(secret, seconds.encode() + b"." + body, "sha256").hex()
