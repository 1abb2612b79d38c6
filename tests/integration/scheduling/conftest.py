"""A tenant whose campaigns disturb no other test: workers and ticks serve all tenants of the database."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from tests.fixtures.delivery import quiet_off


@pytest.fixture
async def tenant(tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[UUID]:
    await quiet_off(owner, tenant)
    yield tenant
    await owner.execute("DELETE FROM platforms.message WHERE tenant_id = $1", tenant)
    await owner.execute("DELETE FROM scheduling.campaign WHERE tenant_id = $1", tenant)
    await owner.execute("DELETE FROM scheduling.timer WHERE tenant_id = $1", tenant)
