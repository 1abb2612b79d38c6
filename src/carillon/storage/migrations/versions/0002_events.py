"""The event store, its cursors and dead letters; the job queue's own schema."""

from alembic import op
from sqlalchemy.util import await_only

from carillon.storage.jobs.queue import SCHEMA, install_sql
from carillon.storage.rls import APP, WORKER, append_only, grant, protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
CREATE SEQUENCE events.event_position;

CREATE TABLE events.event (
    tenant_id uuid NOT NULL,
    position bigint NOT NULL DEFAULT nextval('events.event_position'),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id uuid NOT NULL DEFAULT storage.uuid7(),
    type text NOT NULL,
    subject_id uuid,
    payload jsonb NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_event PRIMARY KEY (tenant_id, position, occurred_at)
) PARTITION BY RANGE (occurred_at);

CREATE INDEX ix_event_xid_position ON events.event (xid, position);

CREATE INDEX ix_event_tenant_id_subject_id_position ON events.event (tenant_id, subject_id, position)
    WHERE subject_id IS NOT NULL;

CREATE TABLE events.event_p_default PARTITION OF events.event DEFAULT;

CREATE TABLE events.cursor (
    consumer text NOT NULL,
    xid xid8 NOT NULL DEFAULT '0',
    position bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    retry_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_cursor PRIMARY KEY (consumer)
);

CREATE TABLE events.dead_letter (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT storage.uuid7(),
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    payload jsonb NOT NULL,
    xid xid8 NOT NULL,
    position bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    error_class text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz,
    CONSTRAINT pk_dead_letter PRIMARY KEY (tenant_id, id)
)
"""

# Weekly partitions named by their Monday (UTC). Partition tables carry no grants: rows are reached through
# the parent, under its row-level security, or not at all.
_CREATE_PARTITIONS = """
CREATE FUNCTION events.create_partitions(weeks integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    made integer := 0;
    starts timestamptz;
    ends timestamptz;
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(726356);
    FOR week IN 0..weeks LOOP
        starts := date_trunc('week', now(), 'UTC') + week * interval '168 hours';
        ends := starts + interval '168 hours';
        child := 'event_p' || to_char(starts AT TIME ZONE 'UTC', 'YYYYMMDD');
        CONTINUE WHEN to_regclass('events.' || child) IS NOT NULL;
        EXECUTE format('CREATE TABLE events.%I (LIKE events.event INCLUDING DEFAULTS)', child);
        -- Rows that the default partition caught must leave it before their own partition can be attached.
        LOCK TABLE events.event_p_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format(
            'WITH moved AS (DELETE FROM events.event_p_default WHERE occurred_at >= $1 AND occurred_at < $2 '
            'RETURNING *) INSERT INTO events.%I SELECT * FROM moved', child) USING starts, ends;
        EXECUTE format('ALTER TABLE events.event ATTACH PARTITION events.%I FOR VALUES FROM (%L) TO (%L)',
            child, starts, ends);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$
"""

_DROP_PARTITIONS = """
CREATE FUNCTION events.drop_partitions(days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    dropped integer := 0;
    keep_from timestamptz := now() - make_interval(days => greatest(days, 1));
    slowest record;
    child name;
    wanted boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(726356);
    SELECT xid, position INTO slowest FROM events.cursor ORDER BY xid, position LIMIT 1;
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'events.event'::regclass AND c.relname ~ '^event_p[0-9]{8}$' ORDER BY 1
    LOOP
        CONTINUE WHEN (substr(child, 8) || ' 00:00:00+00')::timestamptz + interval '168 hours' > keep_from;
        EXECUTE format('SELECT EXISTS (SELECT FROM events.%I WHERE (xid, position) > ($1, $2))', child)
            INTO wanted USING slowest.xid, slowest.position;
        CONTINUE WHEN wanted;
        EXECUTE format('DROP TABLE events.%I', child);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM events.event_p_default
    WHERE occurred_at < keep_from AND ((xid, position) > (slowest.xid, slowest.position)) IS NOT TRUE;
    RETURN dropped;
END $$
"""

# A job's row carries its tenant in the payload, not in a column, so the API reads it through these doors only.
_FAILED_JOBS = """
CREATE FUNCTION queue.failed_jobs(after bigint, wanted integer)
RETURNS TABLE (id bigint, name text, data jsonb, attempts integer, error text, failed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT j.id, j.entrypoint, convert_from(j.payload, 'UTF8')::jsonb -> 'data', j.attempts,
           l.traceback ->> 'exception_message', j.updated
    FROM queue.pgqueuer j
    LEFT JOIN LATERAL (
        SELECT traceback FROM queue.pgqueuer_log WHERE job_id = j.id AND traceback IS NOT NULL
        ORDER BY created DESC, id DESC LIMIT 1
    ) l ON true
    WHERE j.status = 'failed' AND (after IS NULL OR j.id < after)
      AND (convert_from(j.payload, 'UTF8')::jsonb ->> 'tenant_id')::uuid = storage.current_tenant()
    ORDER BY j.id DESC LIMIT wanted
$$
"""

_RETRY_JOB = """
CREATE FUNCTION queue.retry_failed_job(wanted bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH again AS (
        UPDATE queue.pgqueuer SET status = 'queued', attempts = 0, execute_after = now(), updated = now()
        WHERE id = wanted AND status = 'failed'
          AND (convert_from(payload, 'UTF8')::jsonb ->> 'tenant_id')::uuid = storage.current_tenant()
        RETURNING id)
    SELECT EXISTS (SELECT FROM again)
$$
"""

_TIMED = """
CREATE TABLE queue.timed (
    name text NOT NULL,
    cron text NOT NULL,
    next_run timestamptz NOT NULL,
    last_run timestamptz,
    CONSTRAINT pk_timed PRIMARY KEY (name)
)
"""


def upgrade() -> None:
    for statement in _TABLES.strip().split(";\n\n"):
        op.execute(statement)
    protect("events.event")
    append_only("events.event")
    protect("events.dead_letter")
    grant("events.cursor", app=False)
    op.execute(f"GRANT USAGE ON SEQUENCE events.event_position TO {APP}, {WORKER}")
    _keep_to_workers("events.create_partitions(integer)", _CREATE_PARTITIONS)
    _keep_to_workers("events.drop_partitions(integer)", _DROP_PARTITIONS)
    op.execute("SELECT events.create_partitions(8)")
    _queue()


def _keep_to_workers(signature: str, definition: str) -> None:
    op.execute(definition)
    op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {WORKER}")


def _queue() -> None:
    op.execute(f"CREATE SCHEMA {SCHEMA}")
    # The library's script holds many statements: only the driver's simple protocol takes them at once.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    await_only(driver.execute(install_sql()))
    op.execute("CREATE INDEX ix_pgqueuer_failed ON queue.pgqueuer (id) WHERE status = 'failed'")
    op.execute(_TIMED)
    op.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {APP}, {WORKER}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {WORKER}")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {APP}, {WORKER}")
    # To enqueue is to insert; what RETURNING and ON CONFLICT read is not the payload.
    op.execute(f"GRANT INSERT, SELECT (id, entrypoint, priority, dedupe_key, status) ON queue.pgqueuer TO {APP}")
    op.execute(f"GRANT INSERT ON queue.pgqueuer_log TO {APP}")
    for signature, definition in (
        ("queue.failed_jobs(bigint, integer)", _FAILED_JOBS),
        ("queue.retry_failed_job(bigint)", _RETRY_JOB),
    ):
        op.execute(definition)
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {APP}, {WORKER}")


def downgrade() -> None:
    op.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    op.execute("DROP FUNCTION events.create_partitions(integer)")
    op.execute("DROP FUNCTION events.drop_partitions(integer)")
    for table in ("dead_letter", "cursor", "event"):
        op.execute(f"DROP TABLE events.{table}")
    op.execute("DROP SEQUENCE events.event_position")
