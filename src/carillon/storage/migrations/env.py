"""Alembic's entry: our schemas only, short lock waits, one writer at a time."""

import asyncio

from alembic import context
from sqlalchemy import pool, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from carillon.storage.schema import SCHEMAS, metadata


def _include(_object: object, name: str | None, kind: str, _reflected: bool, _against: object) -> bool:
    # Partitions and the queue library's tables are not ours to compare.
    return not (kind == "table" and name is not None and name.startswith(("event_p", "alembic_version")))


def _include_name(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "schema" or name in SCHEMAS


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_object=_include,
        include_name=_include_name,
        version_table_schema="storage",
        compare_type=True,
    )
    with context.begin_transaction():
        # A waiting migration must not queue the whole product behind it.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(726355)"))
        context.run_migrations()


async def _main() -> None:
    engine = create_async_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.execute(text("CREATE SCHEMA IF NOT EXISTS storage"))
        await connection.commit()
        await connection.run_sync(_run)
        await connection.commit()
    await engine.dispose()


asyncio.run(_main())
