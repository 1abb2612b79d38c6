"""The table of tenants."""

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, UniqueConstraint, Uuid, text

from carillon.storage.schema import instant, metadata

tenant = Table(
    "tenant",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("time_zone", Text, nullable=False, server_default=text("'UTC'")),
    Column("language", Text, nullable=False, server_default=text("'en'")),
    Column("region", Text),
    instant("suspended_at"),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("slug"),
    schema="identity",
)
