"""What each account did on each day (UTC), counted from events: exactly once, and cheap to read."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from carillon.events.catalog.platforms import CampaignMessagesSent, InboundReceived, MessageChanged
from carillon.events.consumer import Recorded
from carillon.storage.database import Tx

from .models import account_day

_COUNTED = ("sent", "delivered", "read", "failed", "unknown", "received")


async def tally(tx: Tx, recorded: Sequence[Recorded]) -> None:
    """Add a batch of events of one tenant to the days' counts."""
    counts: Counter[tuple[UUID, date, str]] = Counter()
    for one in recorded:
        match one.event:
            case MessageChanged(account_id=account_id, state=state) if state in _COUNTED:
                counts[account_id, one.occurred_at.date(), state] += 1
            case CampaignMessagesSent(messages=messages):
                for account_id, ids in messages.items():
                    counts[account_id, one.occurred_at.date(), "sent"] += len(ids)
            case InboundReceived(account_id=account_id):
                counts[account_id, one.occurred_at.date(), "received"] += 1
    days = sorted({(account_id, day) for account_id, day, _ in counts})
    if not days:
        return
    rows = [
        {
            "tenant_id": tx.tenant,
            "id": account_id,
            "day": day,
            **{name: counts[account_id, day, name] for name in _COUNTED},
        }
        for account_id, day in days
    ]
    statement = insert(account_day).values(rows)
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "id", "day"],
            set_={name: account_day.c[name] + statement.excluded[name] for name in _COUNTED},
        )
    )
