"""People written straight into the tables, for tests of services beside contacts."""

from typing import Any
from uuid import UUID

from sqlalchemy import insert

from carillon.audience.contacts.models import contact, identity
from carillon.kernel.ids import uuid7
from carillon.storage.database import Tx

GRANTED = {"marketing": {"*": {"status": "granted", "until": None, "at": "2026-01-01T00:00:00.000000+00:00"}}}


async def add_person(tx: Tx, *, phone: str | None = None, **columns: Any) -> UUID:
    """A contact, reachable on Telegram unless `peers` says otherwise."""
    contact_id = columns.pop("id", None) or uuid7()
    columns.setdefault("peers", {"telegram": f"tg-{contact_id}"})
    await tx.execute(insert(contact).values(tenant_id=tx.tenant, id=contact_id, **columns))
    if phone:
        await add_address(tx, contact_id, "phone", phone)
    return contact_id


async def add_address(tx: Tx, contact_id: UUID, kind: str, value: str, **columns: Any) -> None:
    """One more address of a contact."""
    row = {"tenant_id": tx.tenant, "id": uuid7(), "contact_id": contact_id, "platform": "*", "kind": kind}
    await tx.execute(insert(identity).values(**row, value=value, **columns))
