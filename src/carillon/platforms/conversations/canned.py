"""Canned replies: ready-made answers, with the variables of message templates."""

from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.platforms.templates import api as templates
from carillon.storage.database import Tx

from .contracts import CannedReply
from .errors import CannedReplyNotFound, ShortcutTaken
from .models import canned_reply
from .text import check_line

LONGEST_SHORTCUT = 50


async def list_canned(tx: Tx, page: PageRequest, query: str | None = None) -> Page[CannedReply]:
    """Canned replies by shortcut; `query` is part of a shortcut, title or text."""
    statement = select(canned_reply).where(canned_reply.c.tenant_id == tx.tenant)
    if query:
        needle = func.lower(literal(query))
        where = (canned_reply.c.shortcut, canned_reply.c.title, canned_reply.c.text)
        statement = statement.where(or_(*[func.strpos(func.lower(column), needle) > 0 for column in where]))
    if page.cursor:
        statement = statement.where(canned_reply.c.shortcut > decode_cursor(page.cursor, str)[0])
    rows = await tx.all(statement.order_by(canned_reply.c.shortcut).limit(page.limit + 1))
    items = [_read(row) for row in rows[: page.limit]]
    return Page(items, encode_cursor(items[-1].shortcut) if len(rows) > page.limit else None)


async def get_canned(tx: Tx, reply_id: UUID) -> CannedReply:
    """One canned reply.

    Raises:
        CannedReplyNotFound: It is not there.
    """
    row = await tx.first(
        select(canned_reply).where(canned_reply.c.tenant_id == tx.tenant, canned_reply.c.id == reply_id)
    )
    if row is None:
        raise CannedReplyNotFound
    return _read(row)


async def create_canned(tx: Tx, *, shortcut: str, title: str, text: str) -> CannedReply:
    """Store a canned reply.

    Raises:
        ShortcutTaken: Another one has the shortcut.
        BadAct, carillon.platforms.templates.errors.BadTemplate: A text is not valid.
    """
    reply_id = uuid7()
    values = {"tenant_id": tx.tenant, "id": reply_id, **_checked(shortcut, title, text)}
    statement = insert(canned_reply).values(values).on_conflict_do_nothing().returning(canned_reply.c.id)
    if await tx.scalar(statement) is None:
        raise ShortcutTaken(place="field shortcut")
    return await get_canned(tx, reply_id)


async def edit_canned(tx: Tx, reply_id: UUID, *, shortcut: str, title: str, text: str) -> CannedReply:
    """Replace a canned reply.

    Raises:
        CannedReplyNotFound, ShortcutTaken, BadAct: As for `create_canned`.
    """
    await get_canned(tx, reply_id)
    values = _checked(shortcut, title, text)
    taken = select(canned_reply.c.id).where(
        canned_reply.c.tenant_id == tx.tenant,
        canned_reply.c.shortcut == values["shortcut"],
        canned_reply.c.id != reply_id,
    )
    if await tx.scalar(taken) is not None:
        raise ShortcutTaken(place="field shortcut")
    await tx.execute(
        update(canned_reply)
        .where(canned_reply.c.tenant_id == tx.tenant, canned_reply.c.id == reply_id)
        .values(**values, updated_at=func.now())
    )
    return await get_canned(tx, reply_id)


async def remove_canned(tx: Tx, reply_id: UUID) -> None:
    """Delete a canned reply.

    Raises:
        CannedReplyNotFound: It is not there.
    """
    await get_canned(tx, reply_id)
    await tx.execute(delete(canned_reply).where(canned_reply.c.tenant_id == tx.tenant, canned_reply.c.id == reply_id))


def _checked(shortcut: str, title: str, text: str) -> dict[str, Any]:
    templates.compile_text(text)
    return {
        "shortcut": check_line(shortcut, "shortcut", LONGEST_SHORTCUT),
        "title": check_line(title, "title"),
        "text": text,
    }


def _read(row: RowMapping) -> CannedReply:
    return CannedReply(row["id"], row["shortcut"], row["title"], row["text"], row["created_at"], row["updated_at"])
