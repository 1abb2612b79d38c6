"""What conversations hold about a person, for the export and the erasure of one."""

from typing import Any

from sqlalchemy import delete, select, update

from carillon.audience.contacts.contracts import Contact
from carillon.storage.database import Tx

from .models import conversation, draft, note


class ConversationData:
    """See `carillon.audience.contacts.contracts.PersonData`."""

    name = "conversations"

    async def export(self, tx: Tx, contact: Contact) -> dict[str, Any]:
        """Every conversation with its notes."""
        theirs = (conversation.c.tenant_id == tx.tenant) & (conversation.c.contact_id == contact.id)
        rows = await tx.all(select(conversation).where(theirs).order_by(conversation.c.id))
        notes = await tx.all(
            select(note)
            .where(note.c.tenant_id == tx.tenant, note.c.conversation_id.in_([row["id"] for row in rows]))
            .order_by(note.c.id)
        )
        return {"conversations": [_plain(row) for row in rows], "notes": [_plain(row) for row in notes]}

    async def erase(self, tx: Tx, contact: Contact) -> None:
        """Remove notes, drafts and previews; that there was a conversation stays."""
        theirs = (conversation.c.tenant_id == tx.tenant) & (conversation.c.contact_id == contact.id)
        ids = select(conversation.c.id).where(theirs)
        await tx.execute(delete(note).where(note.c.tenant_id == tx.tenant, note.c.conversation_id.in_(ids)))
        await tx.execute(delete(draft).where(draft.c.tenant_id == tx.tenant, draft.c.id.in_(ids)))
        await tx.execute(update(conversation).where(theirs).values(last_preview="", labels=[]))


def _plain(row: Any) -> dict[str, Any]:
    return {
        name: value if value is None or isinstance(value, int | str | list) else str(value)
        for name, value in {**row, **_texts(row)}.items()
        if name != "tenant_id"
    }


def _texts(row: Any) -> dict[str, Any]:
    return {name: [str(item) for item in value] for name, value in row.items() if isinstance(value, list)}
