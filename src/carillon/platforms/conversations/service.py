"""Conversations: reading, answering and working through them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.errors import ContactNotFound
from carillon.events import history, outbox
from carillon.events.catalog.base import name_of
from carillon.events.catalog.conversations import ConversationOpened
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.users import api as users
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Draft, Inbound, Message, MessageKind
from carillon.platforms.delivery.errors import MessageNotFound, NotSendable
from carillon.storage.database import Tx

from . import repository
from .changes import check_act, events_of, store, values_of
from .contracts import Act, Activity, ActKind, Conversation, ConversationFilter, ConversationView, Counts, Status
from .drafts import drop_draft
from .errors import ContactOptedOut, ConversationNotFound, MessageIdTaken, UnknownAccount, UnknownContact


async def get(tx: Tx, conversation_id: UUID) -> ConversationView:
    """One conversation.

    Raises:
        ConversationNotFound: It is not there, or not this tenant's.
    """
    found = await repository.find(tx, conversation_id)
    if found is None:
        raise ConversationNotFound
    return (await _views(tx, [found]))[0]


async def list_conversations(tx: Tx, wanted: ConversationFilter, page: PageRequest) -> Page[ConversationView]:
    """Conversations, the one with the newest message first; three statements however long the page is."""
    before = None
    if page.cursor:
        at, conversation_id = decode_cursor(page.cursor, str, UUID)
        before = (_moment(at), conversation_id)
    found = await repository.page_of(tx, wanted, before=before, limit=page.limit + 1)
    items = found[: page.limit]
    cursor = None
    if len(found) > page.limit:
        cursor = encode_cursor(items[-1].last_at.isoformat(), str(items[-1].id))
    return Page(await _views(tx, items), cursor)


async def count(tx: Tx, wanted: ConversationFilter, user_id: UUID | None) -> Counts:
    """How many conversations match; `user_id` is who asks."""
    return await repository.counts(tx, wanted, user_id)


async def start(tx: Tx, subject: Subject, *, account_id: UUID, contact_id: UUID) -> ConversationView:
    """The open conversation between an account and a person: the one there is, reopened, or a new one.

    Raises:
        UnknownAccount, UnknownContact: There is no such account or person.
    """
    try:
        account = await accounts.get(tx, account_id)
        await contacts.get(tx, contact_id)
    except accounts.AccountNotFound as error:
        raise UnknownAccount(place="field account_id") from error
    except ContactNotFound as error:
        raise UnknownContact(place="field contact_id") from error
    conversation_id = uuid7()
    values = {
        "id": conversation_id,
        "account_id": account_id,
        "contact_id": contact_id,
        "platform": account.platform,
        "status": Status.OPEN.value,
        "last_at": datetime.now(UTC),
    }
    await repository.add(tx, values)
    found = (await repository.find_pairs(tx, [(account_id, contact_id)]))[account_id, contact_id]
    if found.id != conversation_id:
        return await act(tx, subject, found.id, Act(ActKind.REOPEN))
    event = ConversationOpened(
        conversation_id=found.id,
        account_id=account_id,
        contact_id=contact_id,
        cause="operator",
        reopened=False,
        actor_id=subject.id,
    )
    await outbox.append(tx, event)
    return await get(tx, found.id)


async def act(tx: Tx, subject: Subject, conversation_id: UUID, what: Act) -> ConversationView:
    """Do something to one conversation.

    Raises:
        ConversationNotFound: It is not there.
        BadAct: A parameter is missing or not valid.
        carillon.identity.users.errors.UserNotFound: The assignee is nobody here.
    """
    what = await checked(tx, what)
    one = await locked(tx, conversation_id)
    await apply(tx, [one], what, subject.id, cause="operator")
    return await get(tx, conversation_id)


async def checked(tx: Tx, what: Act) -> Act:
    """The act with clean parameters, its assignee a member of this tenant.

    Raises:
        BadAct, carillon.identity.users.errors.UserNotFound: See `act`.
    """
    what = check_act(what, datetime.now(UTC))
    if what.assignee_id is not None:
        await users.get_member(tx, what.assignee_id)
    return what


async def apply(
    tx: Tx, found: Sequence[Conversation], what: Act, actor_id: UUID | None, *, cause: str
) -> dict[UUID, dict[str, Any]]:
    """Do something to locked conversations, with their events; returns the new values of those that changed."""
    changes = {one.id: values for one in found if (values := values_of(one, what))}
    await repository.write_many(tx, {key: store(values) for key, values in changes.items()})
    told = [event for one in found if one.id in changes for event in events_of(one, changes[one.id], actor_id, cause)]
    await outbox.append(tx, *told)
    return changes


async def thread(tx: Tx, conversation_id: UUID, page: PageRequest) -> Page[Message | Inbound]:
    """What was said in a conversation, newest first.

    Raises:
        ConversationNotFound: It is not there.
    """
    one = await repository.find(tx, conversation_id)
    if one is None:
        raise ConversationNotFound
    return await delivery.thread(tx, one.contact_id, page, account_id=one.account_id)


async def reply(
    tx: Tx,
    subject: Subject,
    conversation_id: UUID,
    *,
    body: str,
    message_id: UUID | None = None,
    reply_to: str | None = None,
) -> Message:
    """Answer in a conversation; the user's draft is gone and what came in counts as read.

    Args:
        tx: Inside the tenant.
        subject: Who writes.
        conversation_id: Where.
        body: The text.
        message_id: Chosen by the caller: a repeated call returns the message of the first.
        reply_to: Platform id of the message it answers.

    Raises:
        ConversationNotFound: It is not there.
        ContactOptedOut: The person told us to stop.
        MessageIdTaken: The id belongs to another message.
        carillon.platforms.delivery.errors: The text or the account is not fit, or the person cannot be reached.
    """
    # The lock makes a second call with the same id wait, and then find the message of the first.
    one = await locked(tx, conversation_id)
    if message_id is not None and (known := await _known(tx, message_id)) is not None:
        if (known.account_id, known.contact_id, known.body) != (one.account_id, one.contact_id, body):
            raise MessageIdTaken(place="field message_id")
        return known
    writing = Draft(
        account_id=one.account_id,
        contact_id=one.contact_id,
        body=body,
        kind=MessageKind.REPLY,
        reply_to=reply_to,
        actor_id=subject.id,
        message_id=message_id,
    )
    try:
        message = await delivery.accept(tx, writing)
    except NotSendable as error:
        if error.data.get("reason") == "opted_out":
            raise ContactOptedOut(contact_id=str(one.contact_id)) from error
        raise
    await apply(tx, [one], Act(ActKind.READ), subject.id, cause="operator")
    if subject.id is not None:
        await drop_draft(tx, conversation_id, subject.id)
    return message


async def activity(tx: Tx, conversation_id: UUID, page: PageRequest) -> Page[Activity]:
    """What happened to a conversation, newest first.

    Raises:
        ConversationNotFound: It is not there.
    """
    if await repository.find(tx, conversation_id) is None:
        raise ConversationNotFound
    found = await history.list_events(tx, page, subject_id=conversation_id)
    items = [Activity(one.id, name_of(one.event), one.occurred_at, one.event.dump()) for one in found.items]
    return Page(items, found.next_cursor)


async def locked(tx: Tx, conversation_id: UUID) -> Conversation:
    """One conversation, locked until the transaction ends.

    Raises:
        ConversationNotFound: It is not there.
    """
    found = await repository.find(tx, conversation_id, lock=True)
    if found is None:
        raise ConversationNotFound
    return found


async def _views(tx: Tx, found: Sequence[Conversation]) -> list[ConversationView]:
    """With the names of all their people and accounts, in one statement each."""
    if not found:
        return []
    people = await contacts.get_many(tx, [*{one.contact_id for one in found}])
    names = await accounts.names(tx, [*{one.account_id for one in found}])
    views = []
    for one in found:
        person = people.get(one.contact_id)
        name, opted_out = (person.name, person.opted_out_at is not None) if person else (None, False)
        views.append(ConversationView(one, name, opted_out, names.get(one.account_id)))
    return views


async def _known(tx: Tx, message_id: UUID) -> Message | None:
    try:
        return await delivery.get(tx, message_id)
    except MessageNotFound:
        return None


def _moment(text: str) -> datetime:
    """A time of a cursor.

    Raises:
        carillon.gateway.pages.BadCursor: It is none.
    """
    found: datetime = decode_cursor(encode_cursor(text), datetime.fromisoformat)[0]  # type: ignore[arg-type] # any callable makes a value
    return found
