"""What crosses the boundary of the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act, as it stands in the chain.

    Attributes:
        tenant_id: Where it happened.
        id: Of this entry.
        seq: 1, 2, 3… without gaps in each tenant.
        at: The database's time, UTC.
        actor_kind: user, api_key or system.
        actor_id: The user or key; None for the system.
        credential_id: The session or key that was shown.
        action: `noun.verb`, in the past tense.
        target: What it was done to: an id as text.
        details: JSON: texts, whole numbers, booleans, lists and objects of them.
        address: The client's network address, if a request did it.
        request_id: The request, if one did it.
        previous_hash: Hash of the entry before; 32 zero bytes in the first.
        hash: SHA-256 of the canonical form, which includes `previous_hash`.
    """

    tenant_id: UUID
    id: UUID
    seq: int
    at: datetime
    actor_kind: str
    actor_id: UUID | None
    credential_id: UUID | None
    action: str
    target: str | None
    details: Mapping[str, Any]
    address: str | None
    request_id: str | None
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None asks for all.

    Attributes:
        actor_id: Done by this user or key.
        action: This action, or all that begin with it when it ends in `.` (`user.`).
        target: Done to this.
        since: At or after.
        until: Before.
    """

    actor_id: UUID | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """An end of a chain, to be kept outside the database: it later proves that nothing before it was rewritten.

    Attributes:
        seq: Number of the last entry; 0 for an empty chain.
        hash: Its hash.
    """

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verification:
    """What the verifier found.

    Attributes:
        ok: The chain is whole.
        entries: How many it read and found good.
        broken_at: The first `seq` that is wrong or missing.
        reason: `changed`, `missing`, `truncated`, `head_changed` or `anchor_changed`; None when whole.
        head: The end of the verified chain, to be kept as the next anchor; None when broken.
    """

    ok: bool
    entries: int
    broken_at: int | None = None
    reason: str | None = None
    head: Anchor | None = field(default=None)
