"""Tenants, users, roles, credentials, audit."""

from alembic import op

from carillon.storage.rls import APP, WORKER, append_only, protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = "tenant_id uuid NOT NULL, id uuid NOT NULL"
_TENANT = "FOREIGN KEY (tenant_id) REFERENCES identity.tenant (id)"

_TABLES = {
    "tenant": """
        id uuid NOT NULL,
        name text NOT NULL,
        slug text NOT NULL,
        time_zone text NOT NULL DEFAULT 'UTC',
        language text NOT NULL DEFAULT 'en',
        region text,
        suspended_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_tenant PRIMARY KEY (id),
        CONSTRAINT uq_tenant_slug UNIQUE (slug)
    """,
    # One person; which tenants they belong to stands in `membership`.
    '"user"': """
        id uuid NOT NULL,
        email text NOT NULL,
        name text NOT NULL,
        language text,
        time_zone text,
        password_hash text NOT NULL,
        credential_version integer NOT NULL DEFAULT 1,
        totp_secret bytea,
        totp_pending bytea,
        totp_last_step bigint,
        recovery_codes bytea[] NOT NULL DEFAULT '{}'::bytea[],
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_user PRIMARY KEY (id),
        CONSTRAINT uq_user_email UNIQUE (email),
        CONSTRAINT ck_user_email CHECK (email = lower(email))
    """,
    "role": f"""
        {_KEY},
        name text NOT NULL,
        description text NOT NULL DEFAULT '',
        builtin text,
        permissions numeric(78, 0) NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_role PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_role_tenant_id_name UNIQUE (tenant_id, name),
        CONSTRAINT uq_role_tenant_id_builtin UNIQUE (tenant_id, builtin),
        CONSTRAINT fk_role_tenant_id {_TENANT}
    """,
    "membership": f"""
        tenant_id uuid NOT NULL,
        user_id uuid NOT NULL,
        role_id uuid NOT NULL,
        state text NOT NULL DEFAULT 'active',
        invited_by uuid,
        last_signed_in_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_membership PRIMARY KEY (tenant_id, user_id),
        CONSTRAINT ck_membership_state CHECK (state IN ('active', 'suspended')),
        CONSTRAINT fk_membership_tenant_id {_TENANT},
        CONSTRAINT fk_membership_user_id FOREIGN KEY (user_id) REFERENCES identity."user" (id),
        CONSTRAINT fk_membership_tenant_id_role_id FOREIGN KEY (tenant_id, role_id)
            REFERENCES identity.role (tenant_id, id)
    """,
    "invitation": f"""
        {_KEY},
        email text NOT NULL,
        role_id uuid NOT NULL,
        token_hash bytea NOT NULL,
        invited_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_invitation PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_invitation_tenant_id_email UNIQUE (tenant_id, email),
        CONSTRAINT fk_invitation_tenant_id_role_id FOREIGN KEY (tenant_id, role_id)
            REFERENCES identity.role (tenant_id, id)
    """,
    # A removed member's sessions go with the membership.
    "session": f"""
        {_KEY},
        user_id uuid NOT NULL,
        token_hash bytea NOT NULL,
        credential_version integer NOT NULL,
        address text NOT NULL,
        user_agent text NOT NULL,
        created_at timestamptz NOT NULL,
        last_seen_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_session PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_session_tenant_id_user_id FOREIGN KEY (tenant_id, user_id)
            REFERENCES identity.membership (tenant_id, user_id) ON DELETE CASCADE
    """,
    "api_key": f"""
        {_KEY},
        name text NOT NULL,
        token_hash bytea NOT NULL,
        permissions numeric(78, 0) NOT NULL,
        created_by uuid,
        created_at timestamptz NOT NULL,
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz,
        CONSTRAINT pk_api_key PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_api_key_tenant_id {_TENANT}
    """,
    # Sign-in attempts by keyed hash of an address or account; it knows no tenant and no person.
    "sign_in_throttle": """
        key bytea NOT NULL,
        full_at timestamptz NOT NULL,
        CONSTRAINT pk_sign_in_throttle PRIMARY KEY (key)
    """,
    "audit_entry": f"""
        {_KEY},
        seq bigint NOT NULL,
        at timestamptz NOT NULL,
        actor_kind text NOT NULL,
        actor_id uuid,
        credential_id uuid,
        action text NOT NULL,
        target text,
        details jsonb NOT NULL,
        address text,
        request_id text,
        previous_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_audit_entry PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_audit_entry_tenant_id_seq UNIQUE (tenant_id, seq)
    """,
    # The end of each tenant's chain: kept apart, so that entries cut off its tail are missed.
    "audit_head": """
        tenant_id uuid NOT NULL,
        seq bigint NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_audit_head PRIMARY KEY (tenant_id)
    """,
}

_INDEXES = (
    "ix_membership_user_id ON identity.membership (user_id)",
    "ix_session_tenant_id_user_id ON identity.session (tenant_id, user_id)",
    "ix_session_expires_at ON identity.session (expires_at)",
    "ix_sign_in_throttle_full_at ON identity.sign_in_throttle (full_at)",
    "ix_audit_entry_tenant_id_actor_id_seq ON identity.audit_entry (tenant_id, actor_id, seq)",
    "ix_audit_entry_tenant_id_target_seq ON identity.audit_entry (tenant_id, target, seq)",
    "ix_audit_entry_tenant_id_action_seq ON identity.audit_entry (tenant_id, action, seq)",
)

_PROTECTED = ("role", "membership", "invitation", "session", "api_key", "audit_entry", "audit_head")

# What a credential needs to know of its owner, in one join; the caller's row-level security applies.
_MEMBER = """
CREATE VIEW identity.member WITH (security_invoker = true) AS
SELECT m.tenant_id, m.user_id, m.state, r.builtin, r.permissions, u.credential_version, t.suspended_at
FROM identity.membership m
JOIN identity.tenant t ON t.id = m.tenant_id
JOIN identity.role r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
JOIN identity."user" u ON u.id = m.user_id
"""

# The only look across tenants that the API's role has. It answers for one exact e-mail address, runs as the
# workers' role (not as the tables' owner), and tells what sign-in needs: the password's hash and where to go.
# It widens the scope by hand, and narrows it again, because only a superuser may give a function a SET clause for
# a setting of our own; after an error the rolled-back transaction has the scope it began with.
_SIGN_IN = """
CREATE FUNCTION identity.sign_in(wanted text)
RETURNS TABLE (
    user_id uuid, password_hash text, tenant_id uuid, tenant_name text, tenant_slug text,
    active boolean, last_signed_in_at timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scope_before text := coalesce(current_setting('app.scope', true), '');
BEGIN
    PERFORM set_config('app.scope', 'all', true);
    RETURN QUERY
        SELECT u.id, u.password_hash, t.id, t.name, t.slug,
               m.state = 'active' AND t.suspended_at IS NULL, m.last_signed_in_at
        FROM identity."user" u
        LEFT JOIN identity.membership m ON m.user_id = u.id
        LEFT JOIN identity.tenant t ON t.id = m.tenant_id
        WHERE u.email = wanted
        ORDER BY m.last_signed_in_at DESC NULLS LAST, m.created_at
        LIMIT 1000;
    PERFORM set_config('app.scope', scope_before, true);
END
$$
"""

# A scalar and not EXISTS, which the planner may answer by hashing all members of the tenant to look for one.
_USER_IS_MEMBER = """
(
    SELECT true FROM identity.membership m
    WHERE m.tenant_id = (SELECT storage.current_tenant()) AND m.user_id = "user".id
)
"""


def upgrade() -> None:
    for name, columns in _TABLES.items():
        op.execute(f"CREATE TABLE identity.{name} ({columns})")
    for index in _INDEXES:
        op.execute(f"CREATE INDEX {index}")
    for name in _PROTECTED:
        protect(f"identity.{name}")
    append_only("identity.audit_entry")
    op.execute(f"REVOKE DELETE ON identity.audit_head FROM {APP}, {WORKER}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON identity.sign_in_throttle TO {APP}, {WORKER}")
    _protect_tenant()
    _protect_user()
    op.execute(_MEMBER)
    op.execute(f"GRANT SELECT ON identity.member TO {APP}, {WORKER}")
    _create_sign_in()


def _protect_tenant() -> None:
    op.execute("ALTER TABLE identity.tenant ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE identity.tenant FORCE ROW LEVEL SECURITY")
    own = "id = (SELECT storage.current_tenant())"
    op.execute(f"CREATE POLICY tenant ON identity.tenant TO {APP}, {WORKER} USING ({own}) WITH CHECK ({own})")
    op.execute(f"CREATE POLICY across ON identity.tenant TO {WORKER} USING ((SELECT storage.across_tenants()))")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON identity.tenant TO {APP}, {WORKER}")


def _protect_user() -> None:
    """People have no tenant column: inside a tenant its members are visible, and a new person may be added."""
    table = 'identity."user"'
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    roles = f"{APP}, {WORKER}"
    op.execute(f"CREATE POLICY member ON {table} FOR SELECT TO {roles} USING ({_USER_IS_MEMBER})")
    op.execute(f"CREATE POLICY change ON {table} FOR UPDATE TO {roles} USING ({_USER_IS_MEMBER})")
    op.execute(
        f"CREATE POLICY join_in ON {table} FOR INSERT TO {roles} "
        "WITH CHECK ((SELECT storage.current_tenant()) IS NOT NULL)"
    )
    op.execute(f"CREATE POLICY across ON {table} TO {WORKER} USING ((SELECT storage.across_tenants()))")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {roles}")
    op.execute(f"GRANT DELETE ON {table} TO {WORKER}")


def _create_sign_in() -> None:
    op.execute(_SIGN_IN)
    op.execute("REVOKE ALL ON FUNCTION identity.sign_in(text) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION identity.sign_in(text) TO {APP}, {WORKER}")
    # The tables' owner is bound by their policies too, unless it is a superuser. The workers' role is the one
    # that may look across, so the function runs as that; handing it over takes membership and CREATE for a moment.
    connection = op.get_bind()
    if not connection.exec_driver_sql("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").scalar_one():
        op.execute(f"GRANT {WORKER} TO CURRENT_USER")
    op.execute(f"GRANT CREATE ON SCHEMA identity TO {WORKER}")
    op.execute(f"ALTER FUNCTION identity.sign_in(text) OWNER TO {WORKER}")
    op.execute(f"REVOKE CREATE ON SCHEMA identity FROM {WORKER}")


def downgrade() -> None:
    op.execute("DROP FUNCTION identity.sign_in(text)")
    op.execute("DROP VIEW identity.member")
    # They look into `membership`, which would otherwise have to go after and before the people.
    for policy in ("member", "change"):
        op.execute(f'DROP POLICY {policy} ON identity."user"')
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE identity.{name}")
