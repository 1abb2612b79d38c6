"""Tables of the account pool."""

from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Index, Integer, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from carillon.platforms.connectors.port import AccountState
from carillon.storage.schema import instant, tenant_table

from .contracts import Failover

_STATES = ", ".join(f"'{state}'" for state in AccountState)
_FAILOVERS = ", ".join(f"'{policy}'" for policy in Failover)


def _count(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


account = tenant_table(
    "platforms",
    "account",
    Column("connector", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("portfolio", Text),
    Column("labels", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'")),
    Column("secret", LargeBinary),  # sealed by the vault
    _count("secret_version"),
    Column("proxy_id", Uuid),
    Column("failover", Text, nullable=False, server_default=text("'none'")),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("reason_code", Text, nullable=False, server_default=text("''")),
    instant("state_at", nullable=False, server_default=text("now()")),
    instant("wait_until"),
    Column("parked", Boolean, nullable=False, server_default=text("false")),
    instant("deleted_at"),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    CheckConstraint(f"failover IN ({_FAILOVERS})", name="failover"),
)

Index(
    "uq_account_live_address",
    account.c.tenant_id,
    account.c.connector,
    account.c.address,
    unique=True,
    postgresql_where=account.c.deleted_at.is_(None),
)
Index("ix_account_proxy", account.c.tenant_id, account.c.proxy_id, postgresql_where=account.c.proxy_id.is_not(None))
Index(
    "ix_account_waiting",
    account.c.state,
    postgresql_where=account.c.state.in_(["flooded", "parked"]) & account.c.deleted_at.is_(None),
)

account_sync = tenant_table(
    "platforms",
    "account_sync",
    Column("key", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    keys=("key",),
)
"""What a connector saved of its account (`id` is the account's): session, update counters."""

account_day = tenant_table(
    "platforms",
    "account_day",
    Column("day", Date, nullable=False),
    _count("sent"),
    _count("delivered"),
    _count("read"),
    _count("failed"),
    _count("unknown"),
    _count("received"),
    keys=("day",),
)
"""Messages of an account on one day (UTC), counted from events."""

account_action = tenant_table(
    "platforms",
    "account_action",
    Column("kind", Text, nullable=False),
    Column("label", Text),
    Column("account_ids", ARRAY(Uuid), nullable=False),  # those it changed: what undo reverts
    Column("created_by", Uuid),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("undone_at"),
)
