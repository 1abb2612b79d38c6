"""What a user has begun to write: kept on the server, so that it is there on every device."""

from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from carillon.storage.database import Tx

from . import repository
from .errors import ConversationNotFound
from .models import draft
from .text import LONGEST_DRAFT, check_body


async def get_draft(tx: Tx, conversation_id: UUID, user_id: UUID) -> str:
    """The user's draft; empty when there is none."""
    query = select(draft.c.body).where(
        draft.c.tenant_id == tx.tenant, draft.c.id == conversation_id, draft.c.user_id == user_id
    )
    return str(await tx.scalar(query) or "")


async def save_draft(tx: Tx, conversation_id: UUID, user_id: UUID, body: str) -> None:
    """Keep the user's draft; an empty one is dropped.

    Raises:
        ConversationNotFound: It is not there.
        BadAct: It is too long.
    """
    if await repository.find(tx, conversation_id, lock=True) is None:
        raise ConversationNotFound
    if not body.strip():
        await drop_draft(tx, conversation_id, user_id)
        return
    text = check_body(body, "body", LONGEST_DRAFT)
    statement = insert(draft).values(tenant_id=tx.tenant, id=conversation_id, user_id=user_id, body=text)
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "id", "user_id"], set_={"body": text, "updated_at": func.now()}
        )
    )


async def drop_draft(tx: Tx, conversation_id: UUID, user_id: UUID) -> None:
    """Forget the user's draft."""
    await tx.execute(
        delete(draft).where(draft.c.tenant_id == tx.tenant, draft.c.id == conversation_id, draft.c.user_id == user_id)
    )
