"""Row-level security: how a tenant table is protected, and the check that refuses an unsafe role at boot.

Two group roles exist: `carillon_app` (the API: one tenant at a time) and `carillon_worker` (background work:
may look across tenants when the transaction says so). Neither owns a table nor may bypass the policies.
"""

from alembic import op
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .errors import UnsafeRole
from .schema import SCHEMAS

APP = "carillon_app"
WORKER = "carillon_worker"


def protect(table: str) -> None:
    """In a migration: rows of `schema.table` are visible inside their tenant only, even to the owner."""
    own = "tenant_id = (SELECT storage.current_tenant())"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} TO {APP}, {WORKER} USING ({own}) WITH CHECK ({own})")
    op.execute(f"CREATE POLICY across ON {table} TO {WORKER} USING ((SELECT storage.across_tenants()))")
    grant(table)


def grant(table: str, *, app: bool = True) -> None:
    """In a migration: let the roles use a table; `app=False` keeps it to the workers."""
    roles = f"{APP}, {WORKER}" if app else WORKER
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {roles}")


def append_only(table: str) -> None:
    """In a migration: rows are never changed or removed by the product."""
    op.execute(f"REVOKE UPDATE, DELETE ON {table} FROM {APP}, {WORKER}")


def hand_over(schema: str, function: str) -> str:
    """SQL that makes a function run as the workers' role, which may look across tenants; the owner may not.

    The caller is a superuser or a member of that role. For the moment of it the role may create in the schema.
    """
    return (
        f"GRANT CREATE ON SCHEMA {schema} TO {WORKER}; ALTER FUNCTION {schema}.{function} OWNER TO {WORKER}; "
        f"REVOKE CREATE ON SCHEMA {schema} FROM {WORKER}"
    )


async def check_role(connection: AsyncConnection) -> None:
    """Refuse to run under a role that row-level security does not bind.

    Raises:
        UnsafeRole: It is a superuser, bypasses or owns, or a tenant table lacks forced security.
    """
    role = (
        await connection.execute(
            text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        )
    ).one()
    if role.rolsuper or role.rolbypassrls:
        message = f"role {role.rolname} is a superuser or has BYPASSRLS; give the app a plain role"
        raise UnsafeRole(message, role=role.rolname)
    owned = await connection.scalar(
        text(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = ANY(:schemas) AND pg_has_role(current_user, c.relowner, 'member')"
        ),
        {"schemas": list(SCHEMAS)},
    )
    if owned:
        message = f"role {role.rolname} owns {owned} of the product's tables; give the app another role"
        raise UnsafeRole(message, role=role.rolname)
    bare = (await connection.execute(text(_UNPROTECTED), {"schemas": list(SCHEMAS)})).scalars().all()
    if bare:
        message = f"tables without forced row-level security: {', '.join(bare)}"
        raise UnsafeRole(message, tables=list(bare))


_UNPROTECTED = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
ORDER BY 1
"""
