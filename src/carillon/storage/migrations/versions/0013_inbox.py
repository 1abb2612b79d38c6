"""An inbox of a million: an index for each agent's list, and tallies instead of counting rows."""

from alembic import op

from carillon.storage.rls import protect

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TALLY = """
CREATE TABLE platforms.conversation_tally (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    status text NOT NULL,
    assignee_id uuid,
    is_unread boolean NOT NULL,
    change bigint NOT NULL,
    CONSTRAINT pk_conversation_tally PRIMARY KEY (tenant_id, id)
)
"""

# One row for each kind of conversation that a statement moved, in the transaction that moved it: nobody waits for a
# counter that others change, and what is read is exact. Runs as whoever writes, inside row-level security.
_COUNT = """
CREATE FUNCTION platforms.tally_conversations() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO platforms.conversation_tally (tenant_id, id, status, assignee_id, is_unread, change)
        SELECT n.tenant_id, storage.uuid7(), n.status, n.assignee_id, n.unread > 0, count(*)
        FROM new_rows n GROUP BY n.tenant_id, n.status, n.assignee_id, n.unread > 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO platforms.conversation_tally (tenant_id, id, status, assignee_id, is_unread, change)
        SELECT o.tenant_id, storage.uuid7(), o.status, o.assignee_id, o.unread > 0, -count(*)
        FROM old_rows o GROUP BY o.tenant_id, o.status, o.assignee_id, o.unread > 0;
    ELSE
        INSERT INTO platforms.conversation_tally (tenant_id, id, status, assignee_id, is_unread, change)
        SELECT m.tenant_id, storage.uuid7(), m.status, m.assignee_id, m.is_unread, sum(m.change)
        FROM (
            SELECT n.tenant_id, n.status, n.assignee_id, n.unread > 0 AS is_unread, 1 AS change FROM new_rows n
            UNION ALL
            SELECT o.tenant_id, o.status, o.assignee_id, o.unread > 0, -1 FROM old_rows o
        ) m
        GROUP BY m.tenant_id, m.status, m.assignee_id, m.is_unread HAVING sum(m.change) <> 0;
    END IF;
    RETURN NULL;
END
$$
"""

_TRIGGERS = {
    "insert": "INSERT ON platforms.conversation REFERENCING NEW TABLE AS new_rows",
    "update": "UPDATE ON platforms.conversation REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "DELETE ON platforms.conversation REFERENCING OLD TABLE AS old_rows",
}

_FIRST = """
INSERT INTO platforms.conversation_tally (tenant_id, id, status, assignee_id, is_unread, change)
SELECT c.tenant_id, storage.uuid7(), c.status, c.assignee_id, c.unread > 0, count(*)
FROM platforms.conversation c GROUP BY c.tenant_id, c.status, c.assignee_id, c.unread > 0
"""


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_conversation_assignee ON platforms.conversation (tenant_id, assignee_id, status, last_at, id)"
    )
    op.execute(_TALLY)
    op.execute(_COUNT)
    for name, what in _TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER tally_{name} AFTER {what} "
            "FOR EACH STATEMENT EXECUTE FUNCTION platforms.tally_conversations()"
        )
    # No conversation changes between the triggers and this: creating one keeps all writers away until the commit.
    # The owner is bound by the policies of both tables too, unless it is a superuser.
    op.execute("ALTER TABLE platforms.conversation NO FORCE ROW LEVEL SECURITY")
    op.execute(_FIRST)
    op.execute("ALTER TABLE platforms.conversation FORCE ROW LEVEL SECURITY")
    protect("platforms.conversation_tally")


def downgrade() -> None:
    for name in _TRIGGERS:
        op.execute(f"DROP TRIGGER tally_{name} ON platforms.conversation")
    op.execute("DROP FUNCTION platforms.tally_conversations()")
    op.execute("DROP TABLE platforms.conversation_tally")
    op.execute("DROP INDEX platforms.ix_conversation_assignee")
