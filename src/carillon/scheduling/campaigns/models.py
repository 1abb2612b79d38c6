"""Tables of campaigns."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from carillon.storage.schema import instant, tenant_table

from .contracts import CampaignState

_STATES = ", ".join(f"'{state}'" for state in CampaignState)

campaign = tenant_table(
    "scheduling",
    "campaign",
    Column("name", Text, nullable=False),
    Column("draft", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("pause_reason", Text),
    Column("planned_after", Uuid),
    Column("planning_done", Boolean, nullable=False, server_default=text("false")),
    Column("planned", BigInteger, nullable=False, server_default=text("0")),
    Column("excluded", JSONB, nullable=False, server_default=text("'{}'")),
    Column("attempted", BigInteger, nullable=False, server_default=text("0")),
    Column("failed", BigInteger, nullable=False, server_default=text("0")),
    Column("replies", BigInteger, nullable=False, server_default=text("0")),
    Column("opt_outs", BigInteger, nullable=False, server_default=text("0")),
    Column("restricted", BigInteger, nullable=False, server_default=text("0")),
    Column("lost_accounts", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("judged_from", JSONB, nullable=False, server_default=text("'{}'")),
    Column("parent_id", Uuid),
    instant("next_at"),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("created_by", Uuid),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    instant("started_at"),
    instant("finished_at"),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
)
Index(
    "ix_campaign_active",
    campaign.c.tenant_id,
    campaign.c.state,
    postgresql_where=campaign.c.state.in_(["scheduled", "planning", "running", "paused"]),
)
