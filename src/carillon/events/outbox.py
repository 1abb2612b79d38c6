"""The way into the store: events are appended in the transaction that makes them true.

Statements that append in bulk may write SQL of their own, typically `INSERT … SELECT` from the CTE that made the
change, under this contract:

    INSERT INTO events.event (tenant_id, type, subject_id, payload) SELECT …

- `tenant_id` is the transaction's tenant (row-level security refuses others);
- `type` is the `type` of a catalogue class, `payload` a JSON object as `Event.dump()` makes it: UUIDs and
  datetimes as text, Decimals as text;
- `subject_id` is what that class's `subject_id` returns;
- `xid`, `position`, `id` and `occurred_at` are left to their defaults; rows of one statement are handed to
  consumers in the order of its ORDER BY;
- `await outbox.notify(tx)` in the same transaction wakes the consumers (without it they look once a second).
"""

import orjson

from carillon.kernel.ids import uuid7s
from carillon.storage.database import Tx

from .catalog.base import Event
from .metrics import APPENDED

CHANNEL = "carillon_events"

_INSERT = """
INSERT INTO events.event (tenant_id, id, type, subject_id, payload)
SELECT $1, e.id, e.type, e.subject_id, e.payload::jsonb
FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[])
    WITH ORDINALITY AS e (id, type, subject_id, payload, ordinal)
ORDER BY e.ordinal
"""


async def append(tx: Tx, *events: Event) -> None:
    """Append events of the transaction's tenant, in this order; they exist when it commits."""
    if not events:
        return
    connection = await tx.driver()
    await connection.execute(
        _INSERT,
        tx.tenant,
        uuid7s(len(events)),
        [event.type for event in events],
        [event.subject_id for event in events],
        [orjson.dumps(event.dump()).decode() for event in events],
    )
    await notify(tx)
    APPENDED.inc(len(events))


async def notify(tx: Tx) -> None:
    """Wake the consumers when this transaction commits; PostgreSQL folds repeated calls into one."""
    connection = await tx.driver()
    await connection.execute(f"NOTIFY {CHANNEL}")
