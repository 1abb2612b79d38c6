"""SQL of the audit log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import RowMapping, and_, select, true

from carillon.storage.database import Tx

from .chain import GENESIS
from .contracts import Anchor, AuditEntry, AuditFilter
from .models import audit_entry

# Writing the head back unchanged locks it: entries of one tenant are chained one transaction after another.
_LOCK_HEAD = """
INSERT INTO identity.audit_head AS head (tenant_id, seq, hash) VALUES (:tenant, 0, :genesis)
ON CONFLICT (tenant_id) DO UPDATE SET seq = head.seq
RETURNING seq, hash, clock_timestamp() AS at
"""
_APPEND = """
WITH moved AS (UPDATE identity.audit_head SET seq = :seq, hash = :hash WHERE tenant_id = :tenant_id)
INSERT INTO identity.audit_entry (
    tenant_id, id, seq, at, actor_kind, actor_id, credential_id, action, target, details, address, request_id,
    previous_hash, hash
) VALUES (
    :tenant_id, :id, :seq, :at, :actor_kind, :actor_id, :credential_id, :action, :target,
    CAST(:details AS jsonb), :address, :request_id, :previous_hash, :hash
)
"""


async def lock_head(tx: Tx) -> tuple[Anchor, datetime]:
    """The end of the chain, held until the transaction ends, and the time now."""
    row = await tx.first(_LOCK_HEAD, {"tenant": tx.tenant, "genesis": GENESIS})
    assert row is not None
    return Anchor(row["seq"], bytes(row["hash"])), row["at"]


async def append(tx: Tx, entry: AuditEntry) -> None:
    """Put an entry at the end."""
    values = {name: getattr(entry, name) for name in AuditEntry.__slots__}
    await tx.execute(_APPEND, {**values, "details": orjson.dumps(dict(entry.details)).decode()})


async def read_head(tx: Tx) -> Anchor | None:
    """The end of the chain as it is kept apart."""
    row = await tx.first("SELECT seq, hash FROM identity.audit_head WHERE tenant_id = :tenant", {"tenant": tx.tenant})
    return Anchor(row["seq"], bytes(row["hash"])) if row else None


async def read_after(tx: Tx, seq: int | None, limit: int) -> list[AuditEntry]:
    """Entries in the order of the chain; `seq` None begins with whatever comes first."""
    c = audit_entry.c
    after = true() if seq is None else c.seq > seq
    rows = await tx.all(select(audit_entry).where(c.tenant_id == tx.tenant, after).order_by(c.seq).limit(limit))
    return [_entry(row) for row in rows]


async def read_page(tx: Tx, wanted: AuditFilter, before: int | None, limit: int) -> Sequence[AuditEntry]:
    """The newest entries that match."""
    statement = select(audit_entry).where(_matches(tx, wanted, before)).order_by(audit_entry.c.seq.desc()).limit(limit)
    return [_entry(row) for row in await tx.all(statement)]


def _matches(tx: Tx, wanted: AuditFilter, before: int | None) -> Any:
    c = audit_entry.c
    conditions = [c.tenant_id == tx.tenant]
    if before is not None:
        conditions.append(c.seq < before)
    if wanted.actor_id is not None:
        conditions.append(c.actor_id == wanted.actor_id)
    if wanted.target is not None:
        conditions.append(c.target == wanted.target)
    if wanted.since is not None:
        conditions.append(c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(c.at < wanted.until)
    if wanted.action is not None:
        whole = not wanted.action.endswith(".")
        conditions.append(c.action == wanted.action if whole else c.action.startswith(wanted.action, autoescape=True))
    return and_(*conditions)


def _entry(row: RowMapping) -> AuditEntry:
    values = {name: row[name] for name in AuditEntry.__slots__}
    return AuditEntry(**{**values, "previous_hash": bytes(row["previous_hash"]), "hash": bytes(row["hash"])})
