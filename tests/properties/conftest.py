"""One world for all machines of a process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event

from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.ops.settings import Settings
from carillon.storage.blobs import Blobs
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures.database import VAULT, Urls, leave_nothing_running

from .running import LONGEST
from .world import World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A failing history is shrunk before it is shown, which takes minutes: the general limit would cut that off."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST))


def _hurry(connection: Any, _record: Any) -> None:
    """Nothing here is about power cuts: do not wait for the disk."""
    cursor = connection.cursor()
    cursor.execute("SET synchronous_commit = off")
    cursor.close()
    connection.commit()


@pytest.fixture(scope="session")
def world(urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A loop, a pool and a superuser's connection, all of which outlive the examples."""
    loop = asyncio.new_event_loop()
    name = f"properties-{uuid7().hex[-8:]}"
    database = Database(urls.worker, pool_size=6, name=name)
    settings = Settings(data=tmp_path_factory.mktemp("properties"), allow_networks=("127.0.0.0/8",))
    resources = Resources(settings, database, VAULT, Blobs(settings.data / "blobs"), SystemClock())
    event.listen(database.engine.sync_engine, "connect", _hurry)
    owner = loop.run_until_complete(asyncpg.connect(urls.owner, server_settings={"synchronous_commit": "off"}))
    try:
        yield World(loop, resources, owner, name)
    finally:
        loop.run_until_complete(owner.close())
        loop.run_until_complete(database.close())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture(autouse=True)
def nothing_left(world: World) -> Iterator[None]:
    """The last example's accounts are not for the next test's worker."""
    yield
    world.run(leave_nothing_running(world.owner))
