"""The one `MetaData`, and how tables are declared: one PostgreSQL schema per cluster, `(tenant_id, id)` keys."""

from typing import Any

from sqlalchemy import Column, DateTime, MetaData, PrimaryKeyConstraint, Table, Uuid
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import UserDefinedType

SCHEMAS = ("storage", "events", "gateway", "identity", "audience", "platforms", "scheduling")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def tenant_table(schema: str, name: str, *items: SchemaItem, keys: tuple[str, ...] = (), **options: Any) -> Table:
    """A table whose rows belong to a tenant: `tenant_id`, `id` and then `keys` are its primary key.

    Its migration must call `rls.protect` on it; boot refuses a tenant table without row-level security.
    """
    return Table(
        name,
        metadata,
        Column("tenant_id", Uuid, nullable=False),
        Column("id", Uuid, nullable=False),
        *items,
        PrimaryKeyConstraint("tenant_id", "id", *keys),
        schema=schema,
        **options,
    )


def instant(name: str, **options: Any) -> Column[Any]:
    """A `timestamptz` column."""
    return Column(name, DateTime(timezone=True), **options)


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """The type's name in DDL."""
        return "xid8"


# So that the drift check recognises the column in a database.
ischema_names["xid8"] = Xid8
