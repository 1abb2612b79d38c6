"""Conversations, notes, drafts, canned replies."""

from alembic import op

from carillon.storage.rls import protect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = {
    "conversation": """
        account_id uuid NOT NULL,
        contact_id uuid NOT NULL,
        moved_from uuid,
        platform text NOT NULL,
        status text NOT NULL,
        snoozed_until timestamptz,
        assignee_id uuid,
        priority smallint NOT NULL DEFAULT 0,
        labels text[] NOT NULL DEFAULT '{}',
        unread integer NOT NULL DEFAULT 0,
        last_at timestamptz NOT NULL,
        last_direction text,
        last_preview text NOT NULL DEFAULT '',
        last_message_id uuid,
        last_state text,
        last_inbound_at timestamptz,
        last_outbound_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_conversation PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_conversation_tenant_id_account_id_contact_id UNIQUE (tenant_id, account_id, contact_id),
        CONSTRAINT ck_conversation_status CHECK (status IN ('open', 'pending', 'snoozed', 'resolved')),
        CONSTRAINT ck_conversation_direction CHECK (last_direction IN ('in', 'out'))
    """,
    "conversation_note": """
        conversation_id uuid NOT NULL,
        author_id uuid,
        body text NOT NULL,
        mentions uuid[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_conversation_note PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_conversation_note_tenant_id_conversation_id FOREIGN KEY (tenant_id, conversation_id)
            REFERENCES platforms.conversation (tenant_id, id)
    """,
    "conversation_draft": """
        user_id uuid NOT NULL,
        body text NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_conversation_draft PRIMARY KEY (tenant_id, id, user_id),
        CONSTRAINT fk_conversation_draft_tenant_id_id FOREIGN KEY (tenant_id, id)
            REFERENCES platforms.conversation (tenant_id, id)
    """,
    "conversation_action": """
        kind text NOT NULL,
        before jsonb NOT NULL,
        count integer NOT NULL,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        undone_at timestamptz,
        CONSTRAINT pk_conversation_action PRIMARY KEY (tenant_id, id)
    """,
    "canned_reply": """
        shortcut text NOT NULL,
        title text NOT NULL,
        text text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_canned_reply PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_canned_reply_tenant_id_shortcut UNIQUE (tenant_id, shortcut)
    """,
}

_INDEXES = (
    "CREATE INDEX ix_conversation_newest ON platforms.conversation (tenant_id, last_at, id)",
    "CREATE INDEX ix_conversation_status ON platforms.conversation (tenant_id, status, last_at, id)",
    "CREATE INDEX ix_conversation_contact ON platforms.conversation (tenant_id, contact_id)",
    """CREATE INDEX ix_conversation_snoozed ON platforms.conversation (snoozed_until)
       WHERE status = 'snoozed'""",
    "CREATE INDEX ix_conversation_note_conversation ON platforms.conversation_note (tenant_id, conversation_id, id)",
)


def upgrade() -> None:
    for name, columns in _TABLES.items():
        op.execute(f"CREATE TABLE platforms.{name} (tenant_id uuid NOT NULL, id uuid NOT NULL, {columns})")
        protect(f"platforms.{name}")
    for index in _INDEXES:
        op.execute(index)


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE platforms.{name}")
