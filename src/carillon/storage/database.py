"""Connections and transactions: the one way to the database, always inside a tenant.

A `Tx` is one transaction. Row-level security shows it the rows of its tenant and nothing else, because
`app.tenant` is set for the transaction as soon as it begins (never for the session: pools hand sessions on).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import CursorResult, Executable, RowMapping, event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from .errors import Contention, DatabaseUnreachable

IDLE_LIMIT = 15
"""Seconds a transaction may wait for its process. One that is stopped, or whose machine is gone, keeps its locks that
long and no longer: others get on, and take its accounts over as soon as its leases have run out."""

Params = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


@dataclass(slots=True)
class Tx:
    """One open transaction.

    Attributes:
        connection: For SQLAlchemy statements.
        tenant_id: Whose rows it sees; None when it looks across tenants.
    """

    connection: AsyncConnection
    tenant_id: UUID | None

    @property
    def tenant(self) -> UUID:
        """The tenant; a transaction across tenants has none."""
        if self.tenant_id is None:
            message = "this transaction belongs to no tenant"
            raise RuntimeError(message)
        return self.tenant_id

    async def execute(self, statement: Executable | str, params: Params = None) -> CursorResult[Any]:
        """Run a statement; a plain string is SQL with `:name` parameters."""
        return await self.connection.execute(text(statement) if isinstance(statement, str) else statement, params)

    async def all(self, statement: Executable | str, params: Params = None) -> Sequence[RowMapping]:
        """All rows, as mappings."""
        return (await self.execute(statement, params)).mappings().all()

    async def first(self, statement: Executable | str, params: Params = None) -> RowMapping | None:
        """The first row, or None."""
        return (await self.execute(statement, params)).mappings().first()

    async def scalar(self, statement: Executable | str, params: Params = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.execute(statement, params)).scalar()

    async def clock(self) -> datetime:
        """What the database's clock shows: all processes share it, and those of their machines may be wrong."""
        moment: datetime = await (await self.driver()).fetchval("SELECT clock_timestamp()")
        return moment

    async def driver(self) -> "asyncpg.Connection[asyncpg.Record]":
        """The asyncpg connection under this transaction, for COPY, arrays and hot paths."""
        raw = await self.connection.get_raw_connection()
        return raw.driver_connection  # type: ignore[return-value] # SQLAlchemy cannot know the driver

    async def enter(self, tenant_id: UUID) -> "Tx":
        """Go on inside one tenant: from here on the transaction sees only its rows."""
        await self.execute(
            "SELECT set_config('app.tenant', :tenant, true), set_config('app.scope', '', true)",
            {"tenant": str(tenant_id)},
        )
        return Tx(self.connection, tenant_id)


class Database:
    """A pool of connections under one role."""

    def __init__(self, url: str, *, pool_size: int = 10, name: str = "carillon") -> None:
        """Create the pool; nothing is connected yet.

        Args:
            url: `postgresql://…` of the app or the worker role.
            pool_size: Connections kept; as many again may be opened for a moment.
            name: What `pg_stat_activity` shows.
        """
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=False,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
            # The one used last first: few connections, with their statements and caches warm.
            pool_use_lifo=True,
            connect_args={
                "server_settings": {"application_name": name, "idle_in_transaction_session_timeout": f"{IDLE_LIMIT}s"},
                "timeout": 10,
            },
        )
        event.listen(self.engine.sync_engine, "begin", _set_scope)

    @asynccontextmanager
    async def transaction(self, tenant_id: UUID) -> AsyncIterator[Tx]:
        """A transaction inside one tenant; commits on exit, rolls back on an exception.

        Raises:
            DatabaseUnreachable: No connection can be had or it broke.
        """
        async with self._begin(tenant_id, "") as tx:
            yield tx

    @asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[Tx]:
        """A transaction over all tenants: background workers only; for the app role it sees nothing.

        Raises:
            DatabaseUnreachable: No connection can be had or it broke.
        """
        async with self._begin(None, "all") as tx:
            yield tx

    @asynccontextmanager
    async def _begin(self, tenant_id: UUID | None, scope: str) -> AsyncIterator[Tx]:
        try:
            plain = await self._connect()
            try:
                connection = await plain.execution_options(tenant=str(tenant_id or ""), scope=scope)
                async with connection.begin():
                    yield Tx(connection, tenant_id)
            finally:
                # Given back even if we are being cancelled, or the pool would run dry.
                await asyncio.shield(plain.close())
        except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            translated = _translated(error)
            if translated is None:
                raise
            raise translated from error

    async def _connect(self) -> AsyncConnection:
        try:
            return await self.engine.connect().start()
        except (OSError, TimeoutError) as error:
            raise DatabaseUnreachable from error

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


# PostgreSQL's error classes (Appendix A): 08 connection, 53 resources, 57P shutdown; 40 deadlock and serialisation.
_UNREACHABLE = ("08", "53", "57P")
_CONTENTION = ("40001", "40P01", "55P03")


def _translated(error: Exception) -> Exception | None:
    """The error in our terms, if it is about the connection or about others' locks."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    state = str(getattr(origin, "sqlstate", None) or "")
    if state in _CONTENTION:
        return Contention()
    broken = isinstance(error, DBAPIError) and error.connection_invalidated
    if broken or state.startswith(_UNREACHABLE) or _is_lost(origin):
        return DatabaseUnreachable()
    return None


def _is_lost(origin: BaseException | None) -> bool:
    # A value that cannot be encoded is an InterfaceError too, but says nothing of the connection.
    return isinstance(origin, OSError | asyncpg.InterfaceError) and not isinstance(origin, ValueError)


def _set_scope(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(
        "SELECT set_config('app.tenant', $1, true), set_config('app.scope', $2, true)",
        (options.get("tenant", ""), options.get("scope", "")),
    )
