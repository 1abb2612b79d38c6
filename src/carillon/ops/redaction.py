"""Takes secrets and phone numbers out of whatever is about to be logged."""

import re
from typing import Any

HIDDEN = "[hidden]"
_DEEPEST = 12
_SHORTEST_PHONE = 7

# Names whose value is always a secret, as whole words of the name: `code` hides `login_code` but not `decoded`.
_SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "secret", "token", "session", "authorization", "cookie", "totp", "otp"}
    | {"pin", "credential", "credentials", "apikey", "signature", "kek", "dek", "ticket"}
)
_SECRET_NAMES = frozenset(
    {"api_key", "app_key", "vault_key", "private_key", "access_key", "encryption_key", "auth_key", "api_hash"}
    | {"bot_token", "session_string", "client_secret", "set_cookie", "qr", "key", "code"}
    | {"login_code", "verification_code", "sms_code", "pairing_code", "recovery_code", "recovery_codes"}
)
# Our own error codes and ids of sessions are what one searches logs for.
_HARMLESS = frozenset({"session_id", "token_id", "ticket_id", "credential_id", "error_code", "status_code"})

_PHONE_NAMES = frozenset({"phone", "phone_number", "msisdn", "peer", "wa_id"})

_PATTERNS = (
    # Our keys and sessions, Telegram bot tokens, provider keys, JSON web tokens.
    (re.compile(r"\b(?:ck|cs)_[A-Za-z0-9_-]{8,}"), HIDDEN),
    (re.compile(r"\b\d{6,12}:[A-Za-z0-9_-]{30,}"), HIDDEN),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"), HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic|digest)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(
            r"(?i)\b((?:[a-z0-9]+[_-])*(?:password|passwd|secret|token|ticket|session|api[_-]?key|api[_-]?hash|cookie|"
            r"totp|otp|authorization)[\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;&}'\"]+)"
        ),
        rf"\1{HIDDEN}",
    ),
    # Forty characters and more of base64 are keys, sessions or files; a UUID or a SHA-1 in hex is shorter or plainer.
    (
        re.compile(
            r"(?<![A-Za-z0-9+/_=-])(?=[A-Za-z0-9+/_-]*[A-Z])(?=[A-Za-z0-9+/_-]*[a-z])(?=[A-Za-z0-9+/_-]*\d)"
            r"[A-Za-z0-9+/_-]{40,}={0,2}(?![A-Za-z0-9+/_=-])"
        ),
        HIDDEN,
    ),
)
_PHONE = re.compile(r"(?<![\w.+-])\+(\d[\d ().-]{5,18}\d)(?!\w)")


def redact(value: Any, name: str = "") -> Any:
    """The value without secrets; containers are copied.

    Args:
        value: Anything that may be logged.
        name: The key it stands under: some names are secrets whatever they hold.
    """
    return _redact(value, name, 0)


def _redact(value: Any, name: str, depth: int) -> Any:
    if depth > _DEEPEST:
        return HIDDEN
    if name and value is not None and not isinstance(value, bool) and is_secret_name(name):
        return HIDDEN if not (_is_error_code(name, value)) else value
    if isinstance(value, dict):
        return {key: _redact(item, str(key), depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(item, name, depth + 1) for item in value]
    return _redact_plain(value, name)


def _redact_plain(value: Any, name: str) -> Any:
    if isinstance(value, int | float | bool) or value is None:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(bytes(value))} bytes]"
    text = str(value)
    return mask_phone(text) if name.lower() in _PHONE_NAMES else redact_text(text)


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name is a secret: `password`, `X-Api-Key`, `smsCode`."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").removeprefix("x_")
    if plain in _HARMLESS:
        return False
    return plain in _SECRET_NAMES or not _SECRET_WORDS.isdisjoint(plain.split("_"))


def _is_error_code(name: str, value: Any) -> bool:
    """Our errors' stable codes are words; codes that open something are digits or random."""
    return name == "code" and isinstance(value, str) and re.fullmatch(r"[a-z]+(_[a-z]+)*", value) is not None


def redact_text(text: str) -> str:
    """The text without anything that looks like a secret, and with phone numbers masked."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _PHONE.sub(lambda found: mask_phone(found[0]), text)


def mask_phone(number: str) -> str:
    """A phone number of which the country's beginning and the last two digits are left: `+49…17`."""
    digits = re.sub(r"\D", "", number)
    if len(digits) < _SHORTEST_PHONE:
        return number
    return f"+{digits[:2]}…{digits[-2:]}"
