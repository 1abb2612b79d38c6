"""Single values of a connector made fit for the ledger: PostgreSQL takes no NUL, an index no megabyte. Pure."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from carillon.platforms.connectors.port import (
    AccountState,
    AccountUpdate,
    Blocked,
    InboundMessage,
    Status,
    StatusUpdate,
    Update,
)

LONGEST_SENTENCE = 500
"""Characters of a reason a person reads."""
LONGEST_ID = 400
"""Characters of a platform's id; longer ones are shortened, the same way each time, so that they still match."""
LONGEST_TEXT = 65_536
"""Characters of an inbound text; no platform sends as much."""
LONGEST_RAW = 262_144
LONGEST_WAIT = 7 * 86_400.0
"""Seconds; the longest flood wait a platform is believed."""

_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)


def sentence(value: object, *, most: int = LONGEST_SENTENCE) -> str:
    """A short text in one line; empty for anything that is no text."""
    if not isinstance(value, str):
        return ""
    line = " ".join(storable(value[: most * 2]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def storable(value: str) -> str:
    """Without NUL, which PostgreSQL refuses, and without halves of surrogate pairs, which are no UTF-8."""
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def identifier(value: object) -> str | None:
    """An id as a platform gives it, as text; None when there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    plain = storable(value)
    if len(plain) > LONGEST_ID:
        plain = plain[: LONGEST_ID - 64] + hashlib.sha256(plain.encode()).hexdigest()
    return plain or None


def instant(value: object, now: datetime) -> datetime:
    """A time in UTC; `now` for one that cannot be true. A naive one is taken for UTC."""
    if not isinstance(value, datetime):
        return now
    try:
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (OverflowError, ValueError):
        return now
    return aware if _EARLIEST <= aware <= now + _AHEAD else now


def seconds(value: object, default: float) -> float:
    """How long to wait: at least nothing, at most a week; `default` for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    if (isinstance(value, float) and math.isnan(value)) or value < 0:
        return default
    return float(min(value, LONGEST_WAIT))


def update_of(one: object, now: datetime) -> Update | None:
    """An update with fields that fit; None when it is none, or lacks what it is about."""
    match one:
        case InboundMessage():
            return _inbound(one, now)
        case StatusUpdate():
            return _status(one, now)
        case AccountUpdate():
            return _account(one, now)
        case Blocked():
            peer = identifier(one.peer)
            return Blocked(peer, instant(one.at, now)) if peer else None
        case _:
            return None


def _inbound(one: InboundMessage, now: datetime) -> InboundMessage | None:
    chat, sender, platform_id = identifier(one.chat), identifier(one.sender), identifier(one.platform_id)
    if not (chat and sender and platform_id):
        return None
    return InboundMessage(
        chat=chat,
        sender=sender,
        platform_id=platform_id,
        text=storable(one.text[:LONGEST_TEXT]) if isinstance(one.text, str) else "",
        at=instant(one.at, now),
        sender_name=sentence(one.sender_name, most=200) or None,
        reply_to=identifier(one.reply_to),
        raw=_raw(one.raw),
    )


def _raw(value: object) -> Mapping[str, Any]:
    """What the platform said word for word, if it can be kept as JSON; the message counts without it too."""
    if not isinstance(value, Mapping):
        return {}
    try:
        encoded = orjson.dumps(dict(value), default=str)
    except (TypeError, ValueError):
        return {}
    # JSON spells NUL as an escape, and jsonb refuses that too.
    return {} if len(encoded) > LONGEST_RAW or b"\\u0000" in encoded else dict(orjson.loads(encoded))


def _status(one: StatusUpdate, now: datetime) -> StatusUpdate | None:
    try:
        status = Status(one.status)
    except (ValueError, TypeError):
        return None
    message_id = one.message_id if isinstance(one.message_id, UUID) else None
    platform_id = identifier(one.platform_id)
    if message_id is None and platform_id is None:
        return None
    return replace(
        one,
        status=status,
        at=instant(one.at, now),
        message_id=message_id,
        platform_id=platform_id,
        error_class=sentence(one.error_class, most=64) or None,
        error_code=sentence(one.error_code, most=64) or None,
        error_text=sentence(one.error_text) or None,
    )


def _account(one: AccountUpdate, now: datetime) -> AccountUpdate | None:
    try:
        state = AccountState(one.state)
    except (ValueError, TypeError):
        return None
    wait = None if one.retry_after is None else seconds(one.retry_after, 60.0)
    return AccountUpdate(state, sentence(one.reason), instant(one.at, now), wait)
