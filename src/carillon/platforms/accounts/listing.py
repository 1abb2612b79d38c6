"""Finding accounts: a page, or the counts by state, in one statement each."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    RowMapping,
    Select,
    Text,
    Uuid,
    column,
    func,
    literal,
    or_,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.kernel.paging import Page, PageRequest
from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx

from . import repository
from .contracts import AccountFilter, AccountView, Owner, Today
from .errors import AccountNotFound
from .models import account, account_day

# Delivery stands above accounts; of its tables only who owns what is read here.
_lease = table("account_lease", *[column(name, Uuid) for name in ("tenant_id", "id", "worker_id")], schema="platforms")
_lease.append_column(column("acquired_at", DateTime(timezone=True)))
_worker = table(
    "worker",
    column("id", Uuid),
    column("name", Text),
    column("expires_at", DateTime(timezone=True)),
    schema="platforms",
)
_COUNTED = ("sent", "delivered", "read", "failed", "unknown", "received")


async def view(tx: Tx, account_id: UUID) -> AccountView:
    """One account as operators see it.

    Raises:
        AccountNotFound: It is not there, or not this tenant's.
    """
    row = await tx.first(_select().where(repository.live(tx), account.c.id == account_id))
    if row is None:
        raise AccountNotFound
    return _view(row)


async def list_accounts(tx: Tx, wanted: AccountFilter, page: PageRequest) -> Page[AccountView]:
    """Accounts, newest first, with who runs each and what it did today."""
    query = _select().where(*conditions(tx, wanted))
    if page.cursor:
        query = query.where(account.c.id < decode_cursor(page.cursor, UUID)[0])
    rows = await tx.all(query.order_by(account.c.id.desc()).limit(page.limit + 1))
    items = [_view(row) for row in rows[: page.limit]]
    return Page(items, encode_cursor(str(items[-1].account.id)) if len(rows) > page.limit else None)


async def count(tx: Tx, wanted: AccountFilter) -> Mapping[AccountState, int]:
    """How many accounts there are in each state."""
    query = select(account.c.state, func.count().label("count")).where(*conditions(tx, wanted))
    return {AccountState(row["state"]): row["count"] for row in await tx.all(query.group_by(account.c.state))}


def conditions(tx: Tx, wanted: AccountFilter) -> list[ColumnElement[bool]]:
    """A filter as SQL."""
    equal: Mapping[Any, Any] = {
        account.c.state: wanted.state.value if wanted.state else None,
        account.c.platform: wanted.platform,
        account.c.connector: wanted.connector,
        account.c.portfolio: wanted.portfolio,
        account.c.proxy_id: wanted.proxy_id,
    }
    found = [repository.live(tx), *[where == value for where, value in equal.items() if value is not None]]
    if wanted.label is not None:
        found.append(account.c.labels.contains(literal([wanted.label], ARRAY(Text))))
    if wanted.query:
        needle = func.lower(literal(wanted.query))
        found.append(
            or_(*[func.strpos(func.lower(where), needle) > 0 for where in (account.c.name, account.c.address)])
        )
    return found


def _select() -> Select[Any]:
    joined = (
        account.outerjoin(_lease, (_lease.c.tenant_id == account.c.tenant_id) & (_lease.c.id == account.c.id))
        .outerjoin(_worker, _worker.c.id == _lease.c.worker_id)
        .outerjoin(
            account_day,
            (account_day.c.tenant_id == account.c.tenant_id)
            & (account_day.c.id == account.c.id)
            & (account_day.c.day == literal(datetime.now(UTC).date(), Date)),
        )
    )
    return select(
        *repository.COLUMNS,
        _worker.c.id.label("worker_id"),
        _worker.c.name.label("worker_name"),
        _lease.c.acquired_at,
        (_worker.c.expires_at > func.clock_timestamp()).label("alive"),
        *[account_day.c[name].label(f"today_{name}") for name in _COUNTED],
    ).select_from(joined)


def _view(row: RowMapping) -> AccountView:
    found = repository.read(row)
    owner = None
    if row["worker_id"] is not None:
        owner = Owner(row["worker_id"], row["worker_name"], row["acquired_at"], bool(row["alive"]))
    counts = {name: row[f"today_{name}"] or 0 for name in _COUNTED}
    limit = found.settings.get("daily_unique")
    left = max(0, limit - counts["sent"]) if isinstance(limit, int) else None
    return AccountView(found, owner, Today(**counts, limit=limit, left=left))
