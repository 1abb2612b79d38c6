"""SQL of campaigns."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from carillon.storage.database import Tx

from .contracts import Campaign, CampaignState
from .drafts import load
from .models import campaign

_COLUMNS = [column for column in campaign.c if column.name not in ("tenant_id", "name", "created_by")]


def _read(row: Any) -> Campaign:
    values = {
        "draft": load(row["draft"]),
        "state": CampaignState(row["state"]),
        "lost_accounts": tuple(row["lost_accounts"]),
    }
    return Campaign(**{**row, **values})


async def add(tx: Tx, values: Mapping[str, Any]) -> None:
    """A new row."""
    await tx.execute(insert(campaign).values(tenant_id=tx.tenant, **values))


async def find(tx: Tx, campaign_id: UUID, *, lock: bool = False) -> Campaign | None:
    """One campaign."""
    query = select(*_COLUMNS).where(campaign.c.tenant_id == tx.tenant, campaign.c.id == campaign_id)
    row = await tx.first(query.with_for_update() if lock else query)
    return _read(row) if row else None


async def write(tx: Tx, campaign_id: UUID, values: Mapping[str, Any]) -> None:
    """Change columns; every change is a new version."""
    await tx.execute(
        update(campaign)
        .where(campaign.c.tenant_id == tx.tenant, campaign.c.id == campaign_id)
        .values(**values, version=campaign.c.version + 1, updated_at=func.now())
    )


async def remove(tx: Tx, campaign_id: UUID) -> None:
    """Delete a row."""
    await tx.execute(delete(campaign).where(campaign.c.tenant_id == tx.tenant, campaign.c.id == campaign_id))


async def search(
    tx: Tx, *, state: CampaignState | None, text: str | None, before: UUID | None, limit: int
) -> list[Campaign]:
    """Newest first."""
    filters: list[ColumnElement[bool]] = [campaign.c.tenant_id == tx.tenant]
    if state is not None:
        filters.append(campaign.c.state == state.value)
    if text:
        filters.append(campaign.c.name.icontains(text, autoescape=True))
    if before is not None:
        filters.append(campaign.c.id < before)
    rows = await tx.all(select(*_COLUMNS).where(*filters).order_by(campaign.c.id.desc()).limit(limit))
    return [_read(row) for row in rows]


async def in_states(tx: Tx, states: Sequence[CampaignState]) -> list[Campaign]:
    """All in these states."""
    wanted = [state.value for state in states]
    rows = await tx.all(select(*_COLUMNS).where(campaign.c.tenant_id == tx.tenant, campaign.c.state.in_(wanted)))
    return [_read(row) for row in rows]


async def count_up(tx: Tx, column: str, counts: Mapping[UUID, int]) -> None:
    """Add to `attempted`, `failed`, `replies` or `opt_outs`."""
    for campaign_id, count in sorted(counts.items()):
        await tx.execute(
            update(campaign)
            .where(campaign.c.tenant_id == tx.tenant, campaign.c.id == campaign_id)
            .values({column: campaign.c[column] + count})
        )


async def set_lost(tx: Tx, campaign_id: UUID, account_ids: Sequence[UUID], restricted: int) -> None:
    """The accounts lost so far, and how many of them are this campaign's; no new version: authors see no change."""
    await tx.execute(
        update(campaign)
        .where(campaign.c.tenant_id == tx.tenant, campaign.c.id == campaign_id)
        .values(lost_accounts=list(account_ids), restricted=restricted)
    )


TO_LOOK_AT = """
SELECT tenant_id, id FROM scheduling.campaign
WHERE state IN ('planning', 'running') OR (state = 'scheduled' AND next_at <= :now)
   OR (state = 'cancelled' AND started_at IS NOT NULL AND finished_at > CAST(:now AS timestamptz) - interval '1 hour')
ORDER BY tenant_id, id
"""
"""Of all tenants."""
