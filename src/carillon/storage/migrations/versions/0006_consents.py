"""Consent ledger, verdict, suppressions, policy, segments."""

from alembic import op

from carillon.storage.rls import APP, WORKER, protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# One contact's entries lie together, in the order in which they were recorded: the key is the only index.
_CONSENT_ENTRY = """
CREATE TABLE audience.consent_entry (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    contact_id uuid NOT NULL,
    platform text NOT NULL,
    purpose text NOT NULL,
    action text NOT NULL,
    source text NOT NULL,
    text_version text,
    proof text,
    actor_kind text NOT NULL,
    actor_id uuid,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    expires_at timestamptz,
    CONSTRAINT pk_consent_entry PRIMARY KEY (tenant_id, contact_id, id),
    CONSTRAINT ck_consent_entry_action CHECK (action IN ('granted', 'withdrawn', 'opted_out', 'opted_in'))
)
"""

_SUPPRESSION = """
CREATE TABLE audience.suppression (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    value_hmac bytea NOT NULL,
    reason text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_suppression PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_suppression_tenant_id_kind_value_hmac UNIQUE (tenant_id, kind, value_hmac)
)
"""

_POLICY = """
CREATE TABLE audience.policy (
    tenant_id uuid NOT NULL,
    quiet_start time NOT NULL,
    quiet_end time NOT NULL,
    frequency_max integer,
    frequency_days integer NOT NULL,
    time_zone text NOT NULL,
    stop_words text[] NOT NULL DEFAULT '{}'::text[],
    confirmations jsonb NOT NULL DEFAULT '{}'::jsonb,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_policy PRIMARY KEY (tenant_id)
)
"""

_SEGMENT = """
CREATE TABLE audience.segment (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    rule jsonb NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_segment PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_segment_tenant_id_name UNIQUE (tenant_id, name)
)
"""

# The ledger only grows; the one exception is the erasure of a person, who must be named for it.
_GUARD = """
CREATE FUNCTION audience.guard_consent_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('app.erasing', true) IS DISTINCT FROM OLD.contact_id::text THEN
        RAISE EXCEPTION 'the consent ledger is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$
"""

# The functions below are written so that PostgreSQL inlines them into the statements that call them: one SELECT of
# one expression, nothing volatile or stable inside. Casts between text and timestamps are STABLE, so moments are
# compared as the number YYYYMMDDhhmmss in UTC. `until` is always UTC, in the form 2026-11-23T19:00:00…, written by
# `consents.projection`; it has whole seconds, so those of the other side may be cut off.
_UNTIL = """
CREATE FUNCTION audience.consent_until(until text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT coalesce(translate(left(until, 19), '-T:', '')::bigint, 99999999999999)
$$
"""

_MOMENT = """
CREATE FUNCTION audience.consent_moment(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT (date_part('year', at AT TIME ZONE 'UTC') * 10000000000
    + date_part('month', at AT TIME ZONE 'UTC') * 100000000
    + date_part('day', at AT TIME ZONE 'UTC') * 1000000
    + date_part('hour', at AT TIME ZONE 'UTC') * 10000
    + date_part('minute', at AT TIME ZONE 'UTC') * 100
    + floor(date_part('second', at AT TIME ZONE 'UTC')))::bigint
$$
"""

_STATUS = """
CREATE FUNCTION audience.consent_status(status text, until text, at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE status
    WHEN 'granted' THEN
        CASE WHEN audience.consent_until(until) > audience.consent_moment(at) THEN 'granted' ELSE 'expired' END
    WHEN 'withdrawn' THEN 'withdrawn'
    ELSE 'none'
END
$$
"""

_OUTCOME = """
CREATE FUNCTION audience.consent_outcome(consents jsonb, platform text, purpose text, at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE audience.consent_status(consents #>> ARRAY[purpose, platform, 'status'],
                                 consents #>> ARRAY[purpose, platform, 'until'], at)
    WHEN 'granted' THEN 'granted'
    WHEN 'withdrawn' THEN 'consent_withdrawn'
    WHEN 'expired' THEN
        CASE audience.consent_status(consents #>> ARRAY[purpose, '*', 'status'],
                                     consents #>> ARRAY[purpose, '*', 'until'], at)
            WHEN 'granted' THEN 'granted' ELSE 'consent_expired' END
    ELSE
        CASE audience.consent_status(consents #>> ARRAY[purpose, '*', 'status'],
                                     consents #>> ARRAY[purpose, '*', 'until'], at)
            WHEN 'granted' THEN 'granted'
            WHEN 'withdrawn' THEN 'consent_withdrawn'
            WHEN 'expired' THEN 'consent_expired'
            ELSE 'no_consent' END
END
$$
"""

_VERDICT = """
CREATE FUNCTION audience.verdict(consents jsonb, opted_out_at timestamptz, last_inbound_at timestamptz, peer text,
    platform text, purpose text, at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE
    WHEN opted_out_at IS NOT NULL THEN 'opted_out'
    WHEN coalesce(peer, '') = '' THEN 'no_address'
    WHEN purpose = 'marketing'
        THEN nullif(audience.consent_outcome(consents, platform, 'marketing', at), 'granted')
    WHEN purpose IS DISTINCT FROM 'service' THEN 'no_consent'
    WHEN last_inbound_at IS NOT NULL THEN NULL
    ELSE CASE audience.consent_outcome(consents, platform, 'service', at)
        WHEN 'granted' THEN NULL
        WHEN 'consent_withdrawn' THEN 'consent_withdrawn'
        WHEN 'consent_expired' THEN
            CASE audience.consent_outcome(consents, platform, 'marketing', at)
                WHEN 'granted' THEN NULL ELSE 'consent_expired' END
        ELSE nullif(audience.consent_outcome(consents, platform, 'marketing', at), 'granted')
    END
END
$$
"""

_SIGNATURES = (
    "verdict(jsonb, timestamptz, timestamptz, text, text, text, timestamptz)",
    "consent_outcome(jsonb, text, text, timestamptz)",
    "consent_status(text, text, timestamptz)",
    "consent_moment(timestamptz)",
    "consent_until(text)",
)


def upgrade() -> None:
    for table in (_CONSENT_ENTRY, _SUPPRESSION, _POLICY, _SEGMENT):
        op.execute(table)
    for name in ("consent_entry", "suppression", "policy", "segment"):
        protect(f"audience.{name}")
    op.execute(f"REVOKE UPDATE ON audience.consent_entry FROM {APP}, {WORKER}")
    op.execute(_GUARD)
    op.execute("""
        CREATE TRIGGER guard BEFORE DELETE ON audience.consent_entry
        FOR EACH ROW EXECUTE FUNCTION audience.guard_consent_entry()
    """)
    for function in (_UNTIL, _MOMENT, _STATUS, _OUTCOME, _VERDICT):
        op.execute(function)


def downgrade() -> None:
    for signature in _SIGNATURES:
        op.execute(f"DROP FUNCTION audience.{signature}")
    for table in ("segment", "policy", "suppression", "consent_entry"):
        op.execute(f"DROP TABLE audience.{table}")
    op.execute("DROP FUNCTION audience.guard_consent_entry()")
