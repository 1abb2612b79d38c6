"""The migrations and the models say the same, and every step can be undone."""

import asyncio
import importlib
import pkgutil
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

import carillon
from carillon.storage import migrate
from carillon.storage.errors import SchemaOutdated
from carillon.storage.schema import SCHEMAS, metadata
from tests.fixtures.database import Urls

for module in pkgutil.walk_packages(carillon.__path__, "carillon."):
    if module.name.endswith(".models"):
        importlib.import_module(module.name)


def _differences(url: str) -> list[Any]:
    async def compare() -> list[Any]:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(_compare)
        finally:
            await engine.dispose()

    return asyncio.run(compare())


def _compare(connection: Any) -> list[Any]:
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _parents: kind != "schema" or name in SCHEMAS,
        "include_object": lambda _object, name, kind, _reflected, _to: (
            not (kind == "table" and name.startswith(("event_p", "alembic_version")))
        ),
    }
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def test_models_and_migrations_agree(urls: Urls) -> None:
    assert _differences(urls.owner) == []


def test_down_to_nothing_and_up_again(own_urls: Urls) -> None:
    command.downgrade(migrate.alembic_config(own_urls.owner), "0001")
    with pytest.raises(SchemaOutdated):
        asyncio.run(migrate.check_version(own_urls.app))
    migrate.upgrade(own_urls.owner)
    asyncio.run(migrate.check_version(own_urls.app))
    assert _differences(own_urls.owner) == []


def test_a_waiting_migration_gives_up_instead_of_holding_everyone_up(own_urls: Urls) -> None:
    async def lock_timeout() -> str:
        connection = await asyncpg.connect(own_urls.owner)
        try:
            await connection.execute("BEGIN; LOCK TABLE scheduling.campaign")
            with pytest.raises(Exception, match="lock timeout"):
                await asyncio.to_thread(command.downgrade, migrate.alembic_config(own_urls.owner), "0009")
            return str(await connection.fetchval("SELECT version_num FROM storage.alembic_version"))
        finally:
            await connection.close()

    assert asyncio.run(lock_timeout()) == migrate.head()
