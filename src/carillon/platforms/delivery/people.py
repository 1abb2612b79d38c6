"""What the ledger holds about a person, for the export and the erasure of one; and when raw calls are forgotten."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from carillon.audience.contacts.contracts import Contact
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .models import inbound_message, message

_CALLS_KEPT = timedelta(days=30)
"""Platforms repeat a call for at most a week; later nobody needs what it said word for word."""
_SLICE = 1_000
_SHORTEST_MARK = 5
"""A shorter address would be found in everybody's calls."""

_SENT = (
    *(message.c.id, message.c.account_id, message.c.platform, message.c.peer, message.c.kind, message.c.body),
    *(message.c.state, message.c.reason, message.c.created_at),
    *(message.c.sent_at, message.c.delivered_at, message.c.read_at),
)
_CAME = (
    *(inbound_message.c.id, inbound_message.c.account_id, inbound_message.c.chat, inbound_message.c.sender),
    *(inbound_message.c.body, inbound_message.c.raw, inbound_message.c.sent_at, inbound_message.c.received_at),
)

# That something was said, when, and what became of it stays: counts, limits and the audit go by it.
_ERASE = (
    """
    UPDATE platforms.message SET body = NULL, peer = '', reply_to = NULL, reason_text = NULL
    WHERE tenant_id = :tenant AND contact_id = :contact
    """,
    # Chat and sender tell one call of a platform from another: each message keeps a place of its own.
    """
    UPDATE platforms.inbound_message SET body = '', raw = '{}', reply_to = NULL, chat = id::text, sender = id::text
    WHERE tenant_id = :tenant AND contact_id = :contact
    """,
    "DELETE FROM platforms.contact_route WHERE tenant_id = :tenant AND id = :contact",
)
_ERASE_CALLS = """
DELETE FROM platforms.webhook_call c WHERE c.tenant_id = :tenant AND EXISTS (
    SELECT FROM unnest(CAST(:marks AS text[])) AS m WHERE position(convert_to(m, 'UTF8') IN c.body) > 0)
"""
_ADDRESSES = """
SELECT peer FROM platforms.message WHERE tenant_id = :tenant AND contact_id = :contact
UNION SELECT chat FROM platforms.inbound_message WHERE tenant_id = :tenant AND contact_id = :contact
UNION SELECT sender FROM platforms.inbound_message WHERE tenant_id = :tenant AND contact_id = :contact
"""

_FORGET_CALLS = """
DELETE FROM platforms.webhook_call c USING (
    SELECT tenant_id, id FROM platforms.webhook_call WHERE received_at < :limit LIMIT :slice FOR UPDATE SKIP LOCKED
) old WHERE c.tenant_id = old.tenant_id AND c.id = old.id
"""


class MessageData:
    """See `carillon.audience.contacts.contracts.PersonData`."""

    name = "messages"

    async def export(self, tx: Tx, contact: Contact) -> dict[str, Any]:
        """Every message in both directions, with its text and what became of it, oldest first."""
        answer = {}
        for name, table, columns in (("sent", message, _SENT), ("received", inbound_message, _CAME)):
            theirs = (table.c.tenant_id == tx.tenant) & (table.c.contact_id == contact.id)
            rows = await tx.all(select(*columns).where(theirs).order_by(table.c.id))
            answer[name] = [dict(row) for row in rows]
        return answer

    async def erase(self, tx: Tx, contact: Contact) -> None:
        """Remove texts, addresses and what platforms sent word for word; what became of each message stays.

        What has not left yet is refused at the last check, since whoever is erased has opted out.
        """
        values = {"tenant": tx.tenant, "contact": contact.id}
        written = [row["peer"] for row in await tx.all(_ADDRESSES, values)]
        marks = {mark for mark in [*written, *_addresses(contact)] if len(mark) >= _SHORTEST_MARK}
        if marks:
            await tx.execute(_ERASE_CALLS, {"tenant": tx.tenant, "marks": sorted(marks)})
        for statement in _ERASE:
            await tx.execute(statement, values)


def _addresses(contact: Contact) -> list[str]:
    """As platforms write them: a number comes with and without its plus."""
    values = [identity.value for identity in contact.identities]
    return [*values, *(value.removeprefix("+") for value in values)]


async def forget_calls(resources: Resources) -> None:
    """Delete the raw calls of platforms that are past their time, of all tenants, in small transactions."""
    values = {"limit": resources.clock.now() - _CALLS_KEPT, "slice": _SLICE}
    while True:
        async with resources.database.across_tenants() as tx:
            deleted = (await tx.execute(_FORGET_CALLS, values)).rowcount
        if deleted < _SLICE:
            return
