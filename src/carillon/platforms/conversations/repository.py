"""SQL of conversations: finding, reading and writing them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FunctionElement,
    RowMapping,
    Table,
    Text,
    and_,
    cast,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.contracts import ContactFilter
from carillon.storage.database import Tx

from .contracts import Conversation, ConversationFilter, Counts, Priority, Status
from .models import conversation, tally

_FEW = 500
"""People found by a search whose conversations are then read one by one."""

COLUMNS = (
    conversation.c.id,
    conversation.c.account_id,
    conversation.c.contact_id,
    conversation.c.platform,
    conversation.c.status,
    conversation.c.snoozed_until,
    conversation.c.assignee_id,
    conversation.c.priority,
    conversation.c.labels,
    conversation.c.unread,
    conversation.c.last_at,
    conversation.c.last_direction,
    conversation.c.last_preview,
    conversation.c.last_message_id,
    conversation.c.last_state,
    conversation.c.last_inbound_at,
    conversation.c.last_outbound_at,
    conversation.c.created_at,
    conversation.c.updated_at,
)


def read(row: RowMapping) -> Conversation:
    """A row as a conversation."""
    values: dict[str, Any] = {column.name: row[column.name] for column in COLUMNS}
    values["status"] = Status(values["status"])
    values["priority"] = Priority(values["priority"])
    values["labels"] = tuple(values["labels"])
    return Conversation(**values)


async def find(tx: Tx, conversation_id: UUID, *, lock: bool = False) -> Conversation | None:
    """One conversation."""
    query = select(*COLUMNS).where(conversation.c.tenant_id == tx.tenant, conversation.c.id == conversation_id)
    row = await tx.first(query.with_for_update() if lock else query)
    return read(row) if row else None


async def find_many(tx: Tx, condition: ColumnElement[bool], limit: int | None = None) -> list[Conversation]:
    """Conversations, locked in the order of their ids."""
    query = select(*COLUMNS).where(conversation.c.tenant_id == tx.tenant, condition).order_by(conversation.c.id)
    return [read(row) for row in await tx.all(query.limit(limit).with_for_update())]


async def find_pairs(tx: Tx, pairs: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], Conversation]:
    """The conversations of these (account, contact), locked."""
    wanted = tuple_(conversation.c.account_id, conversation.c.contact_id).in_(list(pairs))
    return {(one.account_id, one.contact_id): one for one in await find_many(tx, wanted)}


async def page_of(
    tx: Tx, wanted: ConversationFilter, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[Conversation]:
    """Conversations, the one with the newest message first."""
    query = select(*COLUMNS).where(await _narrowed(tx, wanted))
    if before is not None:
        at, conversation_id = before
        query = query.where(
            tuple_(conversation.c.last_at, conversation.c.id) < tuple_(literal(at), literal(conversation_id))
        )
    query = query.order_by(conversation.c.last_at.desc(), conversation.c.id.desc()).limit(limit)
    return [read(row) for row in await tx.all(query)]


async def _narrowed(tx: Tx, wanted: ConversationFilter) -> ColumnElement[bool]:
    """`matches`, with the people looked up first where a search means few.

    The planner cannot know how many people have a part of a name: it would walk through all conversations and look
    at the person of each. Where many match, that walk ends early and is the right way.
    """
    if not wanted.query:
        return matches(tx, wanted)
    few = contacts.select_ids(tx.tenant, ContactFilter(query=wanted.query)).limit(_FEW + 1)
    people = [row["id"] for row in await tx.all(few)]
    if len(people) > _FEW:
        return matches(tx, wanted)
    return and_(matches(tx, replace(wanted, query=None)), conversation.c.contact_id == func.any(people))


async def counts(tx: Tx, wanted: ConversationFilter, user_id: UUID | None) -> Counts:
    """How many match, cut in all the ways a screen shows, in one statement.

    What a screen shows without further filters comes from the tallies, whose number does not grow with the inbox.
    """
    if _is_tallied(wanted):
        row = await _cuts(tx, func.sum(tally.c.change), tally, tally.c.is_unread, _kinds(tx, wanted), user_id)
    else:
        unread = conversation.c.unread > 0
        row = await _cuts(tx, func.count(), conversation, unread, matches(tx, wanted), user_id)
    by_status = {status: row[status.value] for status in Status}
    return Counts(row["total"], by_status, row["mine"], row["unassigned"], row["unread"])


async def _cuts(
    tx: Tx,
    measure: FunctionElement[Any],
    source: Table,
    unread: ColumnElement[bool],
    condition: ColumnElement[bool],
    user_id: UUID | None,
) -> RowMapping:
    def cut(name: str, *where: ColumnElement[bool]) -> ColumnElement[int]:
        return cast(func.coalesce(measure.filter(*where) if where else measure, 0), BigInteger).label(name)

    row = await tx.first(
        select(
            cut("total"),
            *[cut(status.value, source.c.status == status.value) for status in Status],
            cut("mine", source.c.assignee_id == user_id),
            cut("unassigned", source.c.assignee_id.is_(None)),
            cut("unread", unread),
        )
        .select_from(source)
        .where(condition)
    )
    assert row is not None
    return row


def _is_tallied(wanted: ConversationFilter) -> bool:
    """Whether the tallies tell conversations apart by all that is asked for."""
    others = (wanted.account_id, wanted.contact_id, wanted.label, wanted.priority)
    return not wanted.query and all(value is None for value in others)


def _kinds(tx: Tx, wanted: ConversationFilter) -> ColumnElement[bool]:
    """`matches` for tallies."""
    found = [tally.c.tenant_id == tx.tenant]
    if wanted.status is not None:
        found.append(tally.c.status == wanted.status.value)
    if wanted.assignee_id is not None:
        found.append(tally.c.assignee_id == wanted.assignee_id)
    if wanted.unassigned:
        found.append(tally.c.assignee_id.is_(None))
    if wanted.unread is not None:
        found.append(tally.c.is_unread == wanted.unread)
    return and_(*found)


def matches(tx: Tx, wanted: ConversationFilter) -> ColumnElement[bool]:
    """A filter as SQL."""
    equal: Mapping[Any, Any] = {
        conversation.c.status: wanted.status.value if wanted.status else None,
        conversation.c.assignee_id: wanted.assignee_id,
        conversation.c.account_id: wanted.account_id,
        conversation.c.contact_id: wanted.contact_id,
        conversation.c.priority: wanted.priority,
    }
    found = [conversation.c.tenant_id == tx.tenant]
    found += [where == value for where, value in equal.items() if value is not None]
    if wanted.unassigned:
        found.append(conversation.c.assignee_id.is_(None))
    if wanted.unread is not None:
        found.append(conversation.c.unread > 0 if wanted.unread else conversation.c.unread == 0)
    if wanted.label is not None:
        found.append(conversation.c.labels.contains(literal([wanted.label], ARRAY(Text))))
    if wanted.query:
        people = contacts.select_ids(tx.tenant, ContactFilter(query=wanted.query))
        found.append(conversation.c.contact_id.in_(people))
    return and_(*found)


async def add(tx: Tx, values: Mapping[str, Any]) -> None:
    """Insert a conversation, unless the account and the person have one."""
    await tx.execute(insert(conversation).values(tenant_id=tx.tenant, **values).on_conflict_do_nothing())


async def write(tx: Tx, conversation_id: UUID, values: Mapping[str, Any]) -> None:
    """Change some columns of one conversation."""
    await tx.execute(
        update(conversation)
        .where(conversation.c.tenant_id == tx.tenant, conversation.c.id == conversation_id)
        .values(**values, updated_at=datetime.now(UTC))
    )


_WRITE_MANY = """
UPDATE platforms.conversation c SET
    status = CASE WHEN n.given ? 'status' THEN n.given ->> 'status' ELSE c.status END,
    snoozed_until = CASE WHEN n.given ? 'snoozed_until' THEN (n.given ->> 'snoozed_until')::timestamptz
                         ELSE c.snoozed_until END,
    assignee_id = CASE WHEN n.given ? 'assignee_id' THEN (n.given ->> 'assignee_id')::uuid ELSE c.assignee_id END,
    priority = CASE WHEN n.given ? 'priority' THEN (n.given ->> 'priority')::smallint ELSE c.priority END,
    unread = CASE WHEN n.given ? 'unread' THEN (n.given ->> 'unread')::integer ELSE c.unread END,
    labels = CASE WHEN n.given ? 'labels' THEN ARRAY(SELECT jsonb_array_elements_text(n.given -> 'labels'))
                  ELSE c.labels END,
    updated_at = clock_timestamp()
FROM unnest($2::uuid[], $3::jsonb[]) AS n (id, given)
WHERE c.tenant_id = $1 AND c.id = n.id
"""


async def write_many(tx: Tx, changes: Mapping[UUID, Mapping[str, Any]]) -> None:
    """Change attributes of many conversations, each to values of its own (as `changes.store` makes them)."""
    if changes:
        driver = await tx.driver()
        given = [orjson.dumps(dict(values)).decode() for values in changes.values()]
        await driver.execute(_WRITE_MANY, tx.tenant, list(changes), given)
