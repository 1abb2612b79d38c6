"""Where people stand, read under a lock: what authorisation asks just before the wire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from carillon.storage.database import Tx

from .contracts import Refusal, Standing, TemplateData

_COLUMNS = """
id, peers ->> $3 AS peer, language,
CASE WHEN time_zone IS NULL THEN time_zones ELSE ARRAY[time_zone] END AS time_zones,
CASE WHEN erased_at IS NOT NULL OR merged_into IS NOT NULL THEN 'gone'
     ELSE audience.verdict(consents, opted_out_at, last_inbound_at, peers ->> $3, $3, $4, $5) END AS reason
"""
_DATA = ", name, first_name, last_name, fields::text AS fields"
_FROM = " FROM audience.contact WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id"

_PLAIN = f"SELECT {_COLUMNS}{_FROM}"
_LOCKED = f"SELECT {_COLUMNS}{_FROM} FOR SHARE"
_LOCKED_WITH_DATA = f"SELECT {_COLUMNS}{_DATA}{_FROM} FOR SHARE"
_ALONE = f"SELECT {_COLUMNS}{_FROM} FOR NO KEY UPDATE"
_ALONE_WITH_DATA = f"SELECT {_COLUMNS}{_DATA}{_FROM} FOR NO KEY UPDATE"
_LOCK_ALONE = f"SELECT id{_FROM} FOR NO KEY UPDATE"

_GONE = Standing(Refusal.GONE)


async def lock_verdicts(
    tx: Tx,
    contact_ids: Sequence[UUID],
    *,
    platform: str,
    purpose: str,
    at: datetime,
    with_data: bool = False,
    alone: bool = False,
) -> dict[UUID, Standing]:
    """Whether each of these people may be written to, locked until the transaction ends.

    The rows are locked `FOR SHARE` in the order of their ids: an opt-out that commits later finds the intent
    written, one that committed before is seen here, and no two batches deadlock.

    Args:
        tx: The tenant's transaction.
        contact_ids: A micro-batch, up to some hundreds.
        platform: The network of the account that will write.
        purpose: `marketing` or `service`.
        at: The time consents must be valid at, UTC-aware.
        with_data: Also read what templates may name.
        alone: Nobody else may look at them in this way meanwhile: for whoever counts what they got.

    Returns:
        One standing for every id asked; people who are erased, merged away or unknown are `gone`.
    """
    shared = _LOCKED_WITH_DATA if with_data else _LOCKED
    statement = (_ALONE_WITH_DATA if with_data else _ALONE) if alone else shared
    found = await _fetch(tx, statement, (list(contact_ids), platform, str(purpose), at))
    return {contact_id: found.get(contact_id, _GONE) for contact_id in contact_ids}


async def lock_alone(tx: Tx, contact_ids: Sequence[UUID]) -> None:
    """Lock people as `lock_verdicts` does with `alone`: all at once, for whoever asks about them in several steps."""
    driver = await tx.driver()
    await driver.execute(_LOCK_ALONE, tx.tenant, list(contact_ids))


async def look_up(tx: Tx, contact_id: UUID, *, platform: str, purpose: str, at: datetime) -> Standing:
    """The standing of one person, for people to look at: not locked, so never to send by."""
    found = await _fetch(tx, _PLAIN, ([contact_id], platform, str(purpose), at))
    return found.get(contact_id, _GONE)


async def _fetch(tx: Tx, statement: str, params: tuple[list[UUID], str, str, datetime]) -> dict[UUID, Standing]:
    driver = await tx.driver()
    return {row[0]: _standing(row) for row in await driver.fetch(statement, tx.tenant, *params)}


def _standing(row: asyncpg.Record) -> Standing:
    _, peer, language, zones, reason, *names = row
    data = TemplateData(names[0], names[1], names[2], orjson.loads(names[3])) if names else None
    return Standing(reason, peer, language, tuple(zones), data)
