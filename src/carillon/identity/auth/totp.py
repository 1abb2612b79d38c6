"""Time-based one-time passwords (RFC 6238) and recovery codes. Pure; no database."""

import base64
import hmac
import re
import secrets
from datetime import datetime
from typing import Final
from uuid import UUID

import pyotp

from carillon.storage.vault import Vault

STEP_SECONDS: Final = 30
RECOVERY_CODES: Final = 10
_DRIFT = 1
_CODE = re.compile(r"\d{6}")
_RECOVERY = re.compile(r"[a-z2-7]{10}")
_ISSUER = "Carillon"


def new_secret() -> str:
    """160 random bits in base32, as RFC 4226 recommends."""
    return pyotp.random_base32(32)


def enrolment_uri(secret: str, email: str) -> str:
    """What an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=_ISSUER)


def matching_step(secret: str, code: str, now: datetime, last_step: int | None) -> int | None:
    """The time step whose code this is, one step early or late at most; None if there is none.

    A step up to `last_step` never matches: a code works once (RFC 6238, 5.2).
    """
    digits = re.sub(r"\s", "", code)
    if not _CODE.fullmatch(digits) or not digits.isascii():
        return None
    totp = pyotp.TOTP(secret)
    present = int(now.timestamp()) // STEP_SECONDS
    found = None
    for step in range(present - _DRIFT, present + _DRIFT + 1):
        # All are computed, so that the time tells nothing.
        if hmac.compare_digest(totp.generate_otp(step), digits) and step > (last_step if last_step is not None else -1):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Ten codes of 50 random bits, for people, e.g. `k3jd8-x2mpa`."""
    texts = (base64.b32encode(secrets.token_bytes(10)).decode().lower()[:10] for _ in range(RECOVERY_CODES))
    return [f"{text[:5]}-{text[5:]}" for text in texts]


def recovery_hash(vault: Vault, user_id: UUID, code: str) -> bytes | None:
    """What is stored of a recovery code; None if the text cannot be one."""
    plain = re.sub(r"[\s-]", "", code.lower())
    if not _RECOVERY.fullmatch(plain):
        return None
    return vault.keyed_hash("recovery code", user_id.bytes + plain.encode())
