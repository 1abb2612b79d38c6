"""The queue's tables, and the way in: jobs are enqueued in the caller's transaction.

The tables are PgQueuer's own, in the PostgreSQL schema `queue`. They have no row-level security: the tenant is
in the payload, which the API's role may write but not read.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

from carillon.storage.database import Tx

SCHEMA = "queue"

# Every field is given: the library otherwise reads environment variables as plain as CHANNEL and FUNCTION.
SETTINGS = DBSettings(
    prefix="",
    db_schema=SCHEMA,
    channel=Channel("carillon_jobs"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
    durability=Durability.durable,
    widen_id=True,
)

# A repeated key is skipped, not an error: an error would spoil the caller's transaction.
_ENQUEUE = QueryQueueBuilder(SETTINGS).build_enqueue_query("skip")


def install_sql() -> str:
    """The library's tables, for the migration.

    A release of the library that changes them needs a migration of ours with `Queries.plan_upgrade`'s statements.
    """
    return QueryBuilderEnvironment(SETTINGS).build_install_query(create_schema=False)


async def enqueue(
    tx: Tx,
    name: str,
    payload: Mapping[str, Any],
    *,
    execute_after: timedelta | datetime | None = None,
    dedupe_key: str | None = None,
) -> int | None:
    """Queue a job of the transaction's tenant; it exists when the transaction commits, and not otherwise.

    Args:
        tx: A transaction inside the tenant.
        name: The `Job.name` to run.
        payload: JSON-ready; give ids, not data.
        execute_after: Not before then.
        dedupe_key: While a job of this tenant, name and key is queued *or running*, no second one is queued.

    Returns:
        The job's number, None when the key was there already.
    """
    key = dedupe_key and f"{tx.tenant}:{name}:{dedupe_key}"
    return await insert(tx, name, tx.tenant, payload, delay=_delay(execute_after), dedupe_key=key)


async def insert(
    tx: Tx,
    name: str,
    tenant_id: UUID | None,
    data: Mapping[str, Any],
    *,
    delay: timedelta = timedelta(0),
    dedupe_key: str | None = None,
) -> int | None:
    """The row itself; `tenant_id` is None for the product's own work on a timetable."""
    body = orjson.dumps({"tenant_id": tenant_id and str(tenant_id), "data": dict(data)})
    connection = await tx.driver()
    rows = await connection.fetch(_ENQUEUE, [0], [name], [body], [delay], [dedupe_key], ["null"])
    return int(rows[0]["id"]) if rows else None


def _delay(execute_after: timedelta | datetime | None) -> timedelta:
    if execute_after is None:
        return timedelta(0)
    if isinstance(execute_after, datetime):
        return max(execute_after - datetime.now(UTC), timedelta(0))
    return execute_after
