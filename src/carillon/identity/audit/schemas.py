"""HTTP forms of the audit log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .contracts import Anchor, AuditEntry, Verification


class AuditEntryOut(BaseModel):
    """One act."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    seq: int = Field(description="Place in the tenant's chain: 1, 2, 3…")
    at: datetime
    actor_kind: str
    actor_id: UUID | None
    credential_id: UUID | None
    action: str
    target: str | None
    details: dict[str, Any]
    address: str | None
    request_id: str | None
    hash: str = Field(description="SHA-256 in hex; covers the hash of the entry before")

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditEntryOut":
        """From the contract."""
        return cls(
            id=entry.id,
            seq=entry.seq,
            at=entry.at,
            actor_kind=entry.actor_kind,
            actor_id=entry.actor_id,
            credential_id=entry.credential_id,
            action=entry.action,
            target=entry.target,
            details=dict(entry.details),
            address=entry.address,
            request_id=entry.request_id,
            hash=entry.hash.hex(),
        )


class AnchorBody(BaseModel):
    """The end of a verified chain, noted outside the database."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=0, lt=2**63)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")

    def anchor(self) -> Anchor:
        """As the contract."""
        return Anchor(self.seq, bytes.fromhex(self.hash))


class VerifyIn(BaseModel):
    """What to verify against."""

    model_config = ConfigDict(extra="forbid")

    anchor: AnchorBody | None = Field(default=None, description="`head` of an earlier verification")


class VerificationOut(BaseModel):
    """What the verifier found."""

    model_config = ConfigDict(extra="forbid")

    ok: bool
    entries: int = Field(description="How many were read and found good")
    broken_at: int | None = Field(description="The first `seq` that is wrong or missing")
    reason: str | None = Field(description="changed, missing, truncated, head_changed or anchor_changed")
    head: AnchorBody | None = Field(description="Note it outside the product: it proves the log later")

    @classmethod
    def of(cls, found: Verification) -> "VerificationOut":
        """From the contract."""
        head = AnchorBody(seq=found.head.seq, hash=found.head.hash.hex()) if found.head else None
        return cls(ok=found.ok, entries=found.entries, broken_at=found.broken_at, reason=found.reason, head=head)
