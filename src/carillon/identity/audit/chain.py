"""The arithmetic of the chain: what is hashed, and how a chain is walked. Pure; no database.

Rule: `hash = SHA-256(canonical JSON of every other field)`, and `previous_hash` is one of these fields.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson

from .contracts import Anchor, AuditEntry, Verification

GENESIS = bytes(32)
_LARGEST_INTEGER = 2**53


def entry_hash(entry: AuditEntry) -> bytes:
    """The hash that the entry should have: sorted keys, no spaces, UTC to the microsecond, hashes in hex."""
    canonical = {
        "tenant_id": str(entry.tenant_id),
        "id": str(entry.id),
        "seq": entry.seq,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_kind": entry.actor_kind,
        "actor_id": _text(entry.actor_id),
        "credential_id": _text(entry.credential_id),
        "action": entry.action,
        "target": entry.target,
        "details": dict(entry.details),
        "address": entry.address,
        "request_id": entry.request_id,
        "previous_hash": entry.previous_hash.hex(),
    }
    return hashlib.sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).digest()


def plain(value: Any) -> Any:
    """A detail in the form that survives storage as `jsonb` unchanged, so that its hash can be computed again.

    Numbers that are not small integers become text: `jsonb` writes 1e3 as 1000, and JavaScript rounds large ones.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {_storable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < _LARGEST_INTEGER:
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str | int | float | Decimal | UUID):
        return _storable(str(value))
    message = f"an audit entry cannot hold a {type(value).__name__}"
    raise TypeError(message)


def _storable(text: str) -> str:
    """`jsonb` stores neither NUL nor lone surrogates."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


class Walker:
    """Walks one chain from its first entry, remembering only the last.

    Attributes:
        last: The end of what was found good.
        failure: What is wrong, once something is.
    """

    def __init__(self, anchor: Anchor | None = None) -> None:
        """Start before the first entry; `anchor` must turn up on the way."""
        self.last = Anchor(0, GENESIS)
        self.failure: Verification | None = None
        self._anchor = anchor

    @property
    def started(self) -> bool:
        """Whether an entry was seen."""
        return self.last.seq > 0

    def step(self, entry: AuditEntry) -> bool:
        """Check the next entry in the order of `seq`; False once the chain is broken."""
        expected = self.last.seq + 1
        if entry.seq != expected:
            # Above: entries are missing between. Below: `seq` itself was changed to a number seen before.
            return self._fail(expected, "missing" if entry.seq > expected else "changed")
        if entry.previous_hash != self.last.hash or entry.hash != entry_hash(entry):
            return self._fail(expected, "changed")
        if self._anchor and self._anchor.seq == entry.seq and self._anchor.hash != entry.hash:
            return self._fail(expected, "anchor_changed")
        self.last = Anchor(entry.seq, entry.hash)
        return True

    def finish(self, head: Anchor | None) -> Verification:
        """The verdict, after the last entry; `head` is the end as it is kept apart."""
        if self.failure:
            return self.failure
        promised = max(head.seq if head else 0, self._anchor.seq if self._anchor else 0)
        if promised > self.last.seq:
            self._fail(self.last.seq + 1, "truncated")
        elif head is None and self.last.seq:
            self._fail(self.last.seq, "head_changed")
        elif head is not None and head != self.last:
            self._fail(head.seq + 1 if head.seq < self.last.seq else head.seq, "head_changed")
        return self.failure or Verification(ok=True, entries=self.last.seq, head=self.last)

    def _fail(self, seq: int, reason: str) -> bool:
        self.failure = Verification(ok=False, entries=self.last.seq, broken_at=seq, reason=reason)
        return False


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
