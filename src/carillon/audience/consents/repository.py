"""The SQL of the ledger, and of the columns of `audience.contact` that are kept from it.

Statements over many people take arrays and lock rows in the order of their ids, so that they never deadlock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from carillon.kernel.ids import uuid7s
from carillon.storage.database import Tx

from .contracts import Actor, ConsentEntry, LedgerEntry, Policy, Projection
from .errors import ContactUnknown
from .projection import counts

# The ids are made here, in the order of the entries: the history is read in their order.
_APPEND = """
INSERT INTO audience.consent_entry (tenant_id, id, contact_id, platform, purpose, action, source, text_version,
    proof, actor_kind, actor_id, at, recorded_at, expires_at)
SELECT $1, e.id, e.contact_id, e.platform, e.purpose, e.action, e.source, e.text_version, e.proof,
    e.actor_kind, e.actor_id, e.at, $2, e.expires_at
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::uuid[], $12::timestamptz[], $13::timestamptz[], $14::uuid[])
    AS e (contact_id, platform, purpose, action, source, text_version, proof, actor_kind, actor_id, at, expires_at,
    id)
"""


async def append(tx: Tx, entries: Sequence[ConsentEntry], recorded_at: datetime) -> None:
    """Write entries to the ledger in one statement."""
    driver = await tx.driver()
    await driver.execute(_APPEND, tx.tenant, recorded_at, *_columns(entries))


async def append_one(tx: Tx, entry: ConsentEntry, recorded_at: datetime) -> UUID:
    """Write one entry to the ledger; returns its id."""
    driver = await tx.driver()
    made: UUID = await driver.fetchval(f"{_APPEND} RETURNING id", tx.tenant, recorded_at, *_columns([entry]))
    return made


def _columns(entries: Sequence[ConsentEntry]) -> tuple[list[Any], ...]:
    """The parameters of `_APPEND` from the third on."""
    return (
        [e.contact_id for e in entries],
        [e.platform for e in entries],
        [e.purpose for e in entries],
        [e.action for e in entries],
        [e.source for e in entries],
        [e.text_version for e in entries],
        [e.proof for e in entries],
        [e.actor.kind for e in entries],
        [e.actor.id for e in entries],
        [e.at for e in entries],
        [e.expires_at for e in entries],
        uuid7s(len(entries)),
    )


_LOCK = """
SELECT id, consents::text AS consents, opted_out_at, merged_into FROM audience.contact
WHERE tenant_id = $1 AND id = ANY($2::uuid[])
ORDER BY id FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class LockedContact:
    """What this service knows of a contact whose row it holds."""

    id: UUID
    consents: Projection
    opted_out_at: datetime | None
    merged_into: UUID | None


async def lock(tx: Tx, contact_ids: Sequence[UUID]) -> list[LockedContact]:
    """Lock contacts against authorisation and each other; those that do not exist are left out."""
    driver = await tx.driver()
    rows = await driver.fetch(_LOCK, tx.tenant, list(contact_ids))
    return [
        LockedContact(row["id"], orjson.loads(row["consents"]), row["opted_out_at"], row["merged_into"]) for row in rows
    ]


async def lock_one(tx: Tx, contact_id: UUID) -> LockedContact:
    """Lock one contact.

    Raises:
        ContactUnknown: No such person.
    """
    for found in await lock(tx, [contact_id]):
        return found
    raise ContactUnknown(contact_id=str(contact_id))


_STORE = """
UPDATE audience.contact c SET consents = p.consents::jsonb, updated_at = now()
FROM unnest($2::uuid[], $3::text[]) AS p (id, consents)
WHERE c.tenant_id = $1 AND c.id = p.id
"""


async def store_projections(tx: Tx, projections: Sequence[tuple[UUID, Projection]]) -> None:
    """Write new projections of locked contacts."""
    if projections:
        driver = await tx.driver()
        await driver.execute(
            _STORE,
            tx.tenant,
            [contact_id for contact_id, _ in projections],
            [orjson.dumps(projection).decode() for _, projection in projections],
        )


async def set_opted_out(tx: Tx, contact_ids: Sequence[UUID], at: datetime | None, source: str | None) -> None:
    """Set or lift the opt-out of locked contacts; a time ahead of the database's clock counts as now."""
    driver = await tx.driver()
    await driver.execute(
        "UPDATE audience.contact SET opted_out_at = CASE WHEN $3::timestamptz IS NOT NULL "
        "THEN least($3, clock_timestamp()) END, opted_out_source = $4, updated_at = now() "
        "WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
        tx.tenant,
        list(contact_ids),
        at,
        source,
    )


async def identities(tx: Tx, contact_ids: Sequence[UUID]) -> list[tuple[str, str]]:
    """All `(kind, value)` under which these people are known."""
    driver = await tx.driver()
    rows = await driver.fetch(
        "SELECT kind, value FROM audience.identity WHERE tenant_id = $1 AND contact_id = ANY($2::uuid[])",
        tx.tenant,
        list(contact_ids),
    )
    return [(row["kind"], row["value"]) for row in rows]


async def owners(tx: Tx, addresses: Sequence[tuple[str, str]]) -> list[UUID]:
    """The contacts that have any of these `(kind, value)`."""
    driver = await tx.driver()
    rows = await driver.fetch(
        "SELECT DISTINCT i.contact_id FROM audience.identity i "
        "JOIN unnest($2::text[], $3::text[]) AS a (kind, value) ON i.kind = a.kind AND i.value = a.value "
        "WHERE i.tenant_id = $1",
        tx.tenant,
        [kind for kind, _ in addresses],
        [value for _, value in addresses],
    )
    return [row["contact_id"] for row in rows]


# A merge leaves the loser's entries where they are: whoever reads the winner's reads theirs too.
_WITH_MERGED = """
WITH RECURSIVE who (id) AS (
    SELECT $2::uuid
    UNION
    SELECT m.loser_id FROM audience.contact_merge m JOIN who ON m.winner_id = who.id
    WHERE m.tenant_id = $1 AND m.undone_at IS NULL
)
SELECT e.* FROM audience.consent_entry e JOIN who ON e.contact_id = who.id
WHERE e.tenant_id = $1
"""


async def history(tx: Tx, contact_id: UUID, *, before: UUID | None, limit: int) -> list[LedgerEntry]:
    """Ledger entries of a person and of those merged into them, newest first, older than `before`."""
    driver = await tx.driver()
    rows = await driver.fetch(
        f"{_WITH_MERGED} AND ($3::uuid IS NULL OR e.id < $3) ORDER BY e.id DESC LIMIT $4",
        tx.tenant,
        contact_id,
        before,
        limit,
    )
    return [_entry(row) for row in rows]


async def whole_history(tx: Tx, contact_id: UUID) -> list[LedgerEntry]:
    """All ledger entries of a person and of those merged into them, oldest first."""
    driver = await tx.driver()
    return [_entry(row) for row in await driver.fetch(f"{_WITH_MERGED} ORDER BY e.id", tx.tenant, contact_id)]


def _entry(row: asyncpg.Record) -> LedgerEntry:
    plain = ("contact_id", "purpose", "action", "source", "at", "platform", "proof", "text_version", "expires_at")
    values: dict[str, Any] = {name: row[name] for name in plain}
    entry = ConsentEntry(actor=Actor(row["actor_kind"], row["actor_id"]), **values)
    return LedgerEntry(row["id"], entry, row["recorded_at"], counts(entry, row["recorded_at"]))


async def contact_exists(tx: Tx, contact_id: UUID) -> bool:
    """Whether the tenant has this contact."""
    found = await tx.scalar("SELECT true FROM audience.contact WHERE id = :id", {"id": contact_id})
    return found is True


async def erase(tx: Tx, contact_id: UUID) -> None:
    """Remove a person's entries: the one way round the ledger's guard."""
    await tx.execute("SELECT set_config('app.erasing', :id, true)", {"id": str(contact_id)})
    await tx.execute("DELETE FROM audience.consent_entry WHERE contact_id = :id", {"id": contact_id})
    await tx.execute("SELECT set_config('app.erasing', '', true)")


async def policy(tx: Tx) -> Policy | None:
    """The tenant's policy, if it set one."""
    row = await tx.first(
        "SELECT quiet_start, quiet_end, frequency_max, frequency_days, time_zone, stop_words, confirmations "
        "FROM audience.policy WHERE tenant_id = :tenant",
        {"tenant": tx.tenant},
    )
    return Policy(**{**row, "stop_words": tuple(row["stop_words"])}) if row else None


_SAVE_POLICY = """
INSERT INTO audience.policy (tenant_id, quiet_start, quiet_end, frequency_max, frequency_days, time_zone, stop_words,
    confirmations)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
ON CONFLICT (tenant_id) DO UPDATE SET quiet_start = excluded.quiet_start, quiet_end = excluded.quiet_end,
    frequency_max = excluded.frequency_max, frequency_days = excluded.frequency_days,
    time_zone = excluded.time_zone, stop_words = excluded.stop_words, confirmations = excluded.confirmations,
    updated_at = now()
"""


async def save_policy(tx: Tx, new: Policy) -> None:
    """Replace the tenant's policy."""
    driver = await tx.driver()
    await driver.execute(
        _SAVE_POLICY,
        tx.tenant,
        new.quiet_start,
        new.quiet_end,
        new.frequency_max,
        new.frequency_days,
        new.time_zone,
        list(new.stop_words),
        orjson.dumps(dict(new.confirmations)).decode(),
    )
