"""SQL of the account pool: single accounts, their secrets and what connectors save."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Text, and_, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx

from .contracts import Account, Failover
from .models import account, account_sync

COLUMNS = (
    account.c.id,
    account.c.connector,
    account.c.platform,
    account.c.name,
    account.c.address,
    account.c.portfolio,
    account.c.labels,
    account.c.settings,
    account.c.proxy_id,
    account.c.failover,
    account.c.state,
    account.c.reason,
    account.c.reason_code,
    account.c.state_at,
    account.c.wait_until,
    account.c.parked,
    account.c.created_at,
    account.c.updated_at,
)
_NAMES = tuple(column.name for column in COLUMNS)

LEASE_CHANNEL = "carillon_lease"
"""NOTIFY channel on which delivery workers hear that an account became free or must be given up."""


def read(row: RowMapping) -> Account:
    """A row as an account; other columns are passed over."""
    values = {name: row[name] for name in _NAMES}
    return Account(
        **{
            **values,
            "labels": tuple(row["labels"]),
            "state": AccountState(row["state"]),
            "failover": Failover(row["failover"]),
        }
    )


def live(tx: Tx) -> ColumnElement[bool]:
    """Accounts of the tenant that are not deleted."""
    return and_(account.c.tenant_id == tx.tenant, account.c.deleted_at.is_(None))


async def find(tx: Tx, account_id: UUID, *, lock: bool = False) -> Account | None:
    """One account that is not deleted."""
    query = select(*COLUMNS).where(live(tx), account.c.id == account_id)
    row = await tx.first(query.with_for_update() if lock else query)
    return read(row) if row else None


async def find_many(tx: Tx, condition: ColumnElement[bool]) -> list[Account]:
    """Accounts, locked in the order of their ids."""
    rows = await tx.all(select(*COLUMNS).where(live(tx), condition).order_by(account.c.id).with_for_update())
    return [read(row) for row in rows]


async def names(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The names of accounts by id, also of deleted ones."""
    query = select(account.c.id, account.c.name).where(account.c.tenant_id == tx.tenant, account.c.id.in_(list(ids)))
    return {row["id"]: row["name"] for row in await tx.all(query)}


async def add(tx: Tx, values: Mapping[str, Any]) -> bool:
    """Insert an account; False when its address is taken."""
    statement = insert(account).values(tenant_id=tx.tenant, **values).on_conflict_do_nothing()
    return await tx.scalar(statement.returning(account.c.id)) is not None


async def write(tx: Tx, account_id: UUID, values: Mapping[str, Any]) -> None:
    """Change some columns."""
    await write_many(tx, [account_id], values)


async def write_many(tx: Tx, ids: Sequence[UUID], values: Mapping[str, Any]) -> None:
    """Change some columns of several accounts."""
    await tx.execute(
        update(account).where(account.c.tenant_id == tx.tenant, account.c.id.in_(list(ids))).values(**values)
    )


async def bound(tx: Tx, proxy_id: UUID) -> int:
    """How many accounts leave through a proxy."""
    query = select(func.count()).select_from(account).where(live(tx), account.c.proxy_id == proxy_id)
    return int(await tx.scalar(query))


async def secret(tx: Tx, account_id: UUID) -> tuple[bytes | None, int]:
    """The sealed secret and its version."""
    row = await tx.first(
        select(account.c.secret, account.c.secret_version).where(
            account.c.tenant_id == tx.tenant, account.c.id == account_id
        )
    )
    return (row["secret"], row["secret_version"]) if row else (None, 0)


_VERSION = literal_column("account.xmin::text", Text).label("version")
"""Changes with every change of the row, and only then."""


async def versions(tx: Tx, ids: Collection[UUID]) -> dict[UUID, str]:
    """What version the rows of accounts that are not deleted have."""
    rows = await tx.all(select(account.c.id, _VERSION).where(live(tx), account.c.id.in_(list(ids))))
    return {row["id"]: row["version"] for row in rows}


async def known(tx: Tx, ids: Collection[UUID], *, removed: bool = False) -> Sequence[RowMapping]:
    """Accounts with their sealed secrets and versions, each as of one moment; those that are there, or the removed."""
    query = select(*COLUMNS, account.c.secret, account.c.secret_version, _VERSION)
    which = and_(account.c.tenant_id == tx.tenant, account.c.deleted_at.is_not(None)) if removed else live(tx)
    return await tx.all(query.where(which, account.c.id.in_(list(ids))))


async def sync(tx: Tx, account_id: UUID) -> dict[str, bytes]:
    """What the connector saved."""
    rows = await tx.all(
        select(account_sync.c.key, account_sync.c.value).where(
            account_sync.c.tenant_id == tx.tenant, account_sync.c.id == account_id
        )
    )
    return {row["key"]: row["value"] for row in rows}


async def save_sync(tx: Tx, account_id: UUID, state: Mapping[str, bytes | None]) -> None:
    """Save or, for None, forget what the connector gave."""
    gone = [key for key, value in state.items() if value is None]
    if gone:
        await tx.execute(
            delete(account_sync).where(
                account_sync.c.tenant_id == tx.tenant, account_sync.c.id == account_id, account_sync.c.key.in_(gone)
            )
        )
    kept = [
        {"tenant_id": tx.tenant, "id": account_id, "key": key, "value": value}
        for key, value in state.items()
        if value is not None
    ]
    if kept:
        statement = insert(account_sync).values(kept)
        await tx.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "id", "key"], set_={"value": statement.excluded.value}
            )
        )


async def forget_sync(tx: Tx, account_id: UUID) -> None:
    """Forget all a connector saved."""
    await tx.execute(delete(account_sync).where(account_sync.c.tenant_id == tx.tenant, account_sync.c.id == account_id))


async def wake_workers(tx: Tx) -> None:
    """Tell the delivery workers, when this commits, to look at their leases."""
    driver = await tx.driver()
    await driver.execute(f"NOTIFY {LEASE_CHANNEL}")
