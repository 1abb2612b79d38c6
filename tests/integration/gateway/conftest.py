"""The kit around a toy service, over a real database."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog
from fastapi import FastAPI

from carillon.gateway.app import create_app
from carillon.kernel.permissions import Permission
from carillon.storage.resources import Resources
from tests.fixtures import toy
from tests.fixtures.api import Client, FakeAuthenticator


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[Any]]:
    """What was logged; structlog's default would render every traceback for a person."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines


@pytest.fixture
def authenticator() -> FakeAuthenticator:
    return FakeAuthenticator()


@pytest.fixture
async def app(app_resources: Resources, authenticator: FakeAuthenticator, owner: "asyncpg.Connection[Any]") -> FastAPI:
    await toy.make_table(owner)
    toy.gate = asyncio.Event()
    return create_app(
        [toy.manifest],
        app_resources,
        authenticator,
        live_permissions={"message.": Permission.MESSAGES_READ, "webhook.": Permission.EVENTS_READ},
        live_coalesced=frozenset({"message.changed"}),
    )


@pytest.fixture
def anyone(app: FastAPI) -> Client:
    return Client(app)


@pytest.fixture
def client(anyone: Client, authenticator: FakeAuthenticator, tenant: UUID) -> Client:
    """An administrator with a key."""
    return anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}")
