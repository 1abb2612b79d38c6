"""Private notes in conversations."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, delete, insert, select, update

from carillon.events import outbox
from carillon.events.catalog.conversations import ConversationNoted
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.users import api as users
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx

from .contracts import Note
from .errors import BadAct, NoteNotFound, NotYourNote
from .models import note
from .service import locked
from .text import LONGEST_NOTE, check_body

MOST_MENTIONS = 20


async def list_notes(tx: Tx, conversation_id: UUID, page: PageRequest) -> Page[Note]:
    """The notes of a conversation, newest first.

    Raises:
        ConversationNotFound: It is not there.
    """
    await locked(tx, conversation_id)
    query = select(note).where(note.c.tenant_id == tx.tenant, note.c.conversation_id == conversation_id)
    if page.cursor:
        query = query.where(note.c.id < decode_cursor(page.cursor, UUID)[0])
    rows = await tx.all(query.order_by(note.c.id.desc()).limit(page.limit + 1))
    items = [_read(row) for row in rows[: page.limit]]
    return Page(items, encode_cursor(str(items[-1].id)) if len(rows) > page.limit else None)


async def add_note(
    tx: Tx, subject: Subject, conversation_id: UUID, *, body: str, mentions: Sequence[UUID] = ()
) -> Note:
    """Leave a note; whoever is mentioned learns of it by its event.

    Raises:
        ConversationNotFound: It is not there.
        BadAct: The text is blank or too long, or too many are mentioned.
        carillon.identity.users.errors.UserNotFound: Somebody mentioned is nobody here.
    """
    await locked(tx, conversation_id)
    body = check_body(body, "body", LONGEST_NOTE)
    called = await _check_mentions(tx, mentions)
    note_id = uuid7()
    await tx.execute(
        insert(note).values(
            tenant_id=tx.tenant,
            id=note_id,
            conversation_id=conversation_id,
            author_id=subject.id,
            body=body,
            mentions=list(called),
        )
    )
    event = ConversationNoted(conversation_id=conversation_id, note_id=note_id, mentions=called, actor_id=subject.id)
    await outbox.append(tx, event)
    return await _get(tx, conversation_id, note_id)


async def edit_note(
    tx: Tx, subject: Subject, conversation_id: UUID, note_id: UUID, *, body: str, mentions: Sequence[UUID] = ()
) -> Note:
    """Change one's own note.

    Raises:
        NoteNotFound: It is not there.
        NotYourNote: Somebody else wrote it.
        BadAct: See `add_note`.
    """
    await _own(tx, subject, conversation_id, note_id)
    values: dict[str, Any] = {
        "body": check_body(body, "body", LONGEST_NOTE),
        "mentions": list(await _check_mentions(tx, mentions)),
        "updated_at": datetime.now(UTC),
    }
    await tx.execute(update(note).where(note.c.tenant_id == tx.tenant, note.c.id == note_id).values(**values))
    return await _get(tx, conversation_id, note_id)


async def remove_note(tx: Tx, subject: Subject, conversation_id: UUID, note_id: UUID) -> None:
    """Delete one's own note.

    Raises:
        NoteNotFound: It is not there.
        NotYourNote: Somebody else wrote it.
    """
    await _own(tx, subject, conversation_id, note_id)
    await tx.execute(delete(note).where(note.c.tenant_id == tx.tenant, note.c.id == note_id))


async def _get(tx: Tx, conversation_id: UUID, note_id: UUID) -> Note:
    row = await tx.first(
        select(note).where(
            note.c.tenant_id == tx.tenant, note.c.conversation_id == conversation_id, note.c.id == note_id
        )
    )
    if row is None:
        raise NoteNotFound
    return _read(row)


async def _own(tx: Tx, subject: Subject, conversation_id: UUID, note_id: UUID) -> None:
    found = await _get(tx, conversation_id, note_id)
    if found.author_id != subject.id:
        raise NotYourNote


async def _check_mentions(tx: Tx, mentions: Sequence[UUID]) -> tuple[UUID, ...]:
    called = tuple(dict.fromkeys(mentions))
    if len(called) > MOST_MENTIONS:
        raise BadAct(f"A note calls at most {MOST_MENTIONS} users.", place="field mentions")
    for user_id in called:
        await users.get_member(tx, user_id)
    return called


def _read(row: RowMapping) -> Note:
    return Note(
        id=row["id"],
        conversation_id=row["conversation_id"],
        author_id=row["author_id"],
        body=row["body"],
        mentions=tuple(row["mentions"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
