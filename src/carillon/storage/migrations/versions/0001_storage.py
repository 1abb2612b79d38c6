"""Schemas, tenant scope and ids."""

from alembic import op

from carillon.storage.rls import APP, WORKER
from carillon.storage.schema import SCHEMAS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FUNCTIONS = """
CREATE FUNCTION storage.current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT nullif(current_setting('app.tenant', true), '')::uuid $$;

CREATE FUNCTION storage.across_tenants() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT current_setting('app.scope', true) = 'all' $$;
"""

_HAS_UUIDV7 = 180000

_UUID7_NATIVE = """
CREATE FUNCTION storage.uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$ SELECT uuidv7() $$
"""

# RFC 9562, 5.7: 48 bits of milliseconds over a version-4 id; for servers older than 18.
_UUID7_BY_HAND = """
CREATE FUNCTION storage.uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$
"""


def upgrade() -> None:
    for schema in SCHEMAS:
        op.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {APP}, {WORKER}")
    for statement in _FUNCTIONS.strip().split("\n\n"):
        op.execute(statement)
    version = op.get_bind().exec_driver_sql("SELECT current_setting('server_version_num')::int").scalar_one()
    op.execute(_UUID7_NATIVE if version >= _HAS_UUIDV7 else _UUID7_BY_HAND)
    op.execute(f"GRANT SELECT ON storage.alembic_version TO {APP}, {WORKER}")


def downgrade() -> None:
    for schema in SCHEMAS[1:]:
        op.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    for function in ("current_tenant", "across_tenants", "uuid7"):
        op.execute(f"DROP FUNCTION storage.{function}()")
