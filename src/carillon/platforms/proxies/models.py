"""The table of proxies."""

from sqlalchemy import Boolean, CheckConstraint, Column, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY

from carillon.storage.schema import instant, tenant_table

from .contracts import ProxyScheme, ProxyState

_SCHEMES = ", ".join(f"'{scheme}'" for scheme in ProxyScheme)
_STATES = ", ".join(f"'{state}'" for state in ProxyState)

proxy = tenant_table(
    "platforms",
    "proxy",
    Column("name", Text, nullable=False),
    Column("scheme", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("username", Text),
    Column("password", LargeBinary),  # sealed by the vault
    Column("password_version", Integer, nullable=False, server_default=text("0")),
    Column("probe", Text, nullable=False),
    Column("address", Text),  # the IP address the last check found behind `host`, and found permitted
    Column("region", Text),
    Column("labels", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("max_accounts", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("latency_ms", Integer),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    instant("checked_at"),
    instant("ok_at"),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    UniqueConstraint("tenant_id", "name"),
    CheckConstraint(f"scheme IN ({_SCHEMES})", name="scheme"),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
)
