"""The SQL of stored segments, and of counting people without taking for ever."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Executable, Insert, Select, Update, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from carillon.storage.database import Tx

from .contracts import Segment
from .errors import SegmentNameTaken
from .models import segment

_COLUMNS = [segment.c[name] for name in ("id", "name", "description", "rule", "version", "created_at", "updated_at")]
_QUERY_CANCELED = "57014"
_UNIQUE_VIOLATION = "23505"


class _Explain(Executable, ClauseElement):
    """`EXPLAIN (FORMAT JSON)` of a query, with the same bound parameters."""

    inherit_cache = False

    def __init__(self, query: Select[Any]) -> None:
        self.query = query


@compiles(_Explain)
def _compile_explain(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.query, **options)}"


async def count_within(tx: Tx, query: Select[Any], *, seconds: float) -> int | None:
    """The query's first value, or None when PostgreSQL needs longer."""
    before = await tx.scalar("SELECT current_setting('statement_timeout')")
    savepoint = await tx.connection.begin_nested()
    try:
        await _limit(tx, f"{int(seconds * 1000)}ms")
        total = int(await tx.scalar(query))
        await _limit(tx, before)
    except DBAPIError as error:
        # The limit goes with the savepoint.
        await savepoint.rollback()
        if getattr(error.orig, "sqlstate", None) == _QUERY_CANCELED:
            return None
        raise
    await savepoint.commit()
    return total


async def _limit(tx: Tx, limit: str) -> None:
    await tx.execute("SELECT set_config('statement_timeout', :limit, true)", {"limit": limit})


async def estimate(tx: Tx, query: Select[Any]) -> int:
    """How many rows the planner expects of a query."""
    plan = await tx.scalar(_Explain(query))
    parsed = orjson.loads(plan) if isinstance(plan, str) else plan
    return int(parsed[0]["Plan"]["Plan Rows"])


async def lock_all(tx: Tx) -> None:
    """One writer of the tenant's segments at a time: two changes at once could otherwise close a circle."""
    await tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('segments ' || :tenant, 0))", {"tenant": str(tx.tenant)}
    )


async def insert(tx: Tx, segment_id: UUID, *, name: str, description: str, rule: Mapping[str, Any]) -> Segment:
    """Store a new segment.

    Raises:
        SegmentNameTaken: Another has the name.
    """
    values = {"tenant_id": tx.tenant, "id": segment_id, "name": name, "description": description, "rule": rule}
    made = await _write(tx, segment.insert().values(values))
    assert made is not None
    return made


async def update(
    tx: Tx, segment_id: UUID, *, version: int, name: str, description: str, rule: Mapping[str, Any]
) -> Segment | None:
    """Change a segment that still has this version; None when it has not.

    Raises:
        SegmentNameTaken: Another has the name.
    """
    values = {"name": name, "description": description, "rule": rule, "version": version + 1, "updated_at": func.now()}
    mine = (segment.c.id == segment_id) & (segment.c.version == version)
    return await _write(tx, segment.update().where(mine).values(values))


async def _write(tx: Tx, statement: Insert | Update) -> Segment | None:
    try:
        async with tx.connection.begin_nested():
            row = await tx.first(statement.returning(*_COLUMNS))
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == _UNIQUE_VIOLATION:
            raise SegmentNameTaken(place="name") from error
        raise
    return Segment(**row) if row else None


async def get(tx: Tx, segment_id: UUID) -> Segment | None:
    """One segment."""
    row = await tx.first(select(*_COLUMNS).where(segment.c.id == segment_id))
    return Segment(**row) if row else None


async def page_of(tx: Tx, *, before: UUID | None, limit: int) -> list[Segment]:
    """Segments, newest first, older than `before`."""
    query = select(*_COLUMNS).order_by(segment.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(segment.c.id < before)
    return [Segment(**row) for row in await tx.all(query)]


async def rules_of(tx: Tx, ids: set[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Rules by segment."""
    rows = await tx.all("SELECT id, rule FROM audience.segment WHERE id = ANY(:ids)", {"ids": list(ids)})
    return {row["id"]: row["rule"] for row in rows}


async def users_of(tx: Tx, segment_id: UUID) -> list[str]:
    """Names of the segments built on this one."""
    rows = await tx.all(
        "SELECT name FROM audience.segment WHERE jsonb_path_exists(rule, "
        """'$.** ? (@.attribute == "segment" && @.value == $id)', jsonb_build_object('id', CAST(:id AS text))) """
        "ORDER BY name",
        {"id": str(segment_id)},
    )
    return [row["name"] for row in rows]


async def delete(tx: Tx, segment_id: UUID) -> bool:
    """Remove a segment; whether there was one."""
    return (await tx.execute("DELETE FROM audience.segment WHERE id = :id", {"id": segment_id})).rowcount > 0
