"""Tables of contacts: people, the addresses they are known by, and the paperwork of changing them in bulk."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from carillon.storage.schema import instant, tenant_table


def _object(name: str) -> Column[Any]:
    return Column(name, JSONB, nullable=False, server_default=text("'{}'::jsonb"))


def _texts(name: str) -> Column[Any]:
    return Column(name, ARRAY(Text), nullable=False, server_default=text("'{}'::text[]"))


def _now(name: str) -> Column[Any]:
    return instant(name, nullable=False, server_default=text("now()"))


def _count(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


contact = tenant_table(
    "audience",
    "contact",
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("email", Text),
    Column("language", Text),  # BCP 47
    Column("time_zone", Text),  # IANA
    _texts("time_zones"),  # candidates while the zone is unknown
    Column("country", Text),  # ISO 3166-1 alpha-2
    _texts("tags"),
    _object("fields"),
    _object("peers"),  # best address per network, from `identity`
    _object("consents"),  # projection of the consent ledger, kept by the consents service
    instant("opted_out_at"),
    Column("opted_out_source", Text),
    instant("last_inbound_at"),
    Column("merged_into", Uuid),
    instant("erased_at"),
    _now("created_at"),
    _now("updated_at"),
    Index("ix_contact_tenant_id_updated_at_id", "tenant_id", "updated_at", "id"),
)

# No foreign key to `contact`: both are written in one statement by imports of a million rows.
identity = tenant_table(
    "audience",
    "identity",
    Column("contact_id", Uuid, nullable=False),
    Column("platform", Text, nullable=False),  # telegram, whatsapp, custom; * for an address of no network
    Column("kind", Text, nullable=False),
    Column("value", Text(collation="C"), nullable=False),  # "C": prefix search is a range of the index
    Column("import_id", Uuid),  # the import that last mentioned it …
    Column("import_row", BigInteger),  # … and where: how a duplicate names its first row
    _now("created_at"),
    UniqueConstraint("tenant_id", "kind", "value"),
    Index("ix_identity_tenant_id_contact_id", "tenant_id", "contact_id"),
)

field = tenant_table(
    "audience",
    "field",
    Column("key", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("type", Text, nullable=False),  # text, number, boolean, date, choice
    _texts("choices"),
    _now("created_at"),
    UniqueConstraint("tenant_id", "key"),
)

bulk_action = tenant_table(
    "audience",
    "bulk_action",
    Column("kind", Text, nullable=False),  # tag, untag
    Column("tag", Text, nullable=False),
    Column("contact_ids", ARRAY(Uuid), nullable=False),  # those it changed: what undo reverts
    Column("count", Integer, nullable=False),
    Column("created_by", Uuid),
    _now("created_at"),
    instant("undone_at"),
)

contact_merge = tenant_table(
    "audience",
    "contact_merge",
    Column("winner_id", Uuid, nullable=False),
    Column("loser_id", Uuid, nullable=False),
    _object("snapshot"),  # both rows and the owners of their identities as they were
    Column("created_by", Uuid),
    _now("created_at"),
    instant("undone_at"),
    Index("ix_contact_merge_tenant_id_winner_id", "tenant_id", "winner_id"),
    Index("ix_contact_merge_tenant_id_loser_id", "tenant_id", "loser_id"),
)

contact_import = tenant_table(
    "audience",
    "contact_import",
    Column("file_name", Text, nullable=False),
    Column("blob_key", Text, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes of the file
    Column("status", Text, nullable=False),
    _object("format"),  # what the reader detected: kind, encoding, dialect, columns, sample
    _object("suggestion"),  # mapping proposed from the column titles
    _object("options"),  # mapping and rules as chosen
    _object("report"),  # of the dry run
    Column("position", JSONB),  # the reader's, after the last committed batch
    Column("done_bytes", BigInteger, nullable=False, server_default=text("0")),
    _count("rows"),
    _count("created"),
    _count("updated"),
    _count("skipped"),
    _count("duplicates"),
    _count("rejected"),
    _count("warnings"),
    _count("opted_out"),
    _count("unsendable"),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("error", JSONB),
    Column("created_by", Uuid),
    _now("created_at"),
    instant("started_at"),
    instant("finished_at"),
)

import_fault = tenant_table(
    "audience",
    "import_fault",
    Column("import_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),  # rejected, duplicate, warning
    Column("row", BigInteger, nullable=False),
    Column("byte", BigInteger),  # where the row begins in the file, when the format knows
    Column("code", Text, nullable=False),
    Column("field", Text),
    Column("text", Text, nullable=False),
    Column("raw", JSONB, nullable=False),  # the row's values as read
    Index("ix_import_fault_tenant_id_import_id_row_id", "tenant_id", "import_id", "row", "id"),
)

contact_export = tenant_table(
    "audience",
    "contact_export",
    Column("status", Text, nullable=False),
    _object("filter"),
    Column("blob_key", Text),
    Column("size", BigInteger),
    _count("rows"),
    Column("error", JSONB),
    Column("created_by", Uuid),
    _now("created_at"),
    instant("finished_at"),
)
