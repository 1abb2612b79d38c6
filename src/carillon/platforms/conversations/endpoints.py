"""HTTP of conversations: the inbox."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query

from carillon.gateway.context import Context, allow, require
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .contracts import ConversationFilter, Status
from .errors import BadAct
from .schemas import (
    ActIn,
    ActivityOut,
    BulkActIn,
    BulkDoneOut,
    CannedReplyIn,
    CannedReplyOut,
    ConversationCountsOut,
    ConversationIn,
    ConversationOut,
    DraftBody,
    EntryOut,
    NoteIn,
    NoteOut,
    PriorityName,
    ReplyIn,
    priority_of,
)

Reader = Annotated[Context, allow(Permission.CONVERSATIONS_READ)]
Writer = Annotated[Context, allow(Permission.CONVERSATIONS_WRITE)]
Needle = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]

router = make_router("/conversations", "conversations")
canned = make_router("/canned-replies", "conversations")


def _filter(
    context: Reader,
    status: Status | None = None,
    assignee: Annotated[UUID | Literal["me", "none"] | None, Query(description="A user's id, `me` or `none`")] = None,
    account_id: UUID | None = None,
    contact_id: UUID | None = None,
    label: Needle = None,
    priority: PriorityName | None = None,
    unread: bool | None = None,
    query: Annotated[Needle, Query(description="Part of the person's name, or the beginning of an address")] = None,
) -> ConversationFilter:
    user_id = context.subject.id if assignee == "me" else assignee if isinstance(assignee, UUID) else None
    return ConversationFilter(
        status=status,
        assignee_id=user_id,
        unassigned=assignee == "none",
        account_id=account_id,
        contact_id=contact_id,
        label=label,
        priority=priority_of(priority),
        unread=unread,
        query=query,
    )


Wanted = Annotated[ConversationFilter, Depends(_filter)]


@router.get("", summary="Conversations, the one with the newest message first")
async def list_conversations(context: Reader, wanted: Wanted, page: PageQuery) -> PageOut[ConversationOut]:
    """With the names of people and accounts."""
    found = await api.list_conversations(context.tx, wanted, page)
    return PageOut(items=[ConversationOut.of(view) for view in found.items], next_cursor=found.next_cursor)


@router.get("/counts", summary="How many conversations there are")
async def count_conversations(context: Reader, wanted: Wanted) -> ConversationCountsOut:
    """Under the same filters as the list; `mine` are the asking user's."""
    return ConversationCountsOut.of(await api.count(context.tx, wanted, context.subject.id))


@router.post("", status_code=201, summary="Open a conversation with a person")
async def start_conversation(context: Writer, body: ConversationIn) -> ConversationOut:
    """The one there is, reopened, or a new one."""
    view = await api.start(context.tx, context.subject, account_id=body.account_id, contact_id=body.contact_id)
    return ConversationOut.of(view)


@router.post("/actions", summary="Do something to many conversations")
async def act_on_conversations(context: Writer, body: BulkActIn) -> BulkDoneOut:
    """Named by id, or all that match a filter."""
    matching = body.matching.filter() if body.matching else None
    return BulkDoneOut.of(
        await api.act_on_many(context.tx, context.subject, body.act(), ids=body.ids, matching=matching)
    )


@router.post("/actions/{action_id}/undo", summary="Undo a bulk act")
async def undo_conversation_action(context: Writer, action_id: UUID) -> BulkDoneOut:
    """Conversations that changed again since stay as they are."""
    return BulkDoneOut.of(await api.undo(context.tx, context.subject, action_id))


@router.get("/{conversation_id}", summary="One conversation")
async def get_conversation(context: Reader, conversation_id: UUID) -> ConversationOut:
    """With the names of the person and the account."""
    return ConversationOut.of(await api.get(context.tx, conversation_id))


@router.post("/{conversation_id}/act", summary="Assign, resolve, reopen, snooze, label or mark a conversation")
async def act_on_conversation(context: Writer, conversation_id: UUID, body: ActIn) -> ConversationOut:
    """What it is already changes nothing."""
    return ConversationOut.of(await api.act(context.tx, context.subject, conversation_id, body.act()))


@router.get("/{conversation_id}/messages", summary="What was said, newest first")
async def list_conversation_messages(context: Reader, conversation_id: UUID, page: PageQuery) -> PageOut[EntryOut]:
    """In both directions."""
    found = await api.thread(context.tx, conversation_id, page)
    return PageOut(items=[EntryOut.of(entry) for entry in found.items], next_cursor=found.next_cursor)


@router.post("/{conversation_id}/messages", status_code=201, summary="Reply")
async def reply_in_conversation(context: Writer, conversation_id: UUID, body: ReplyIn) -> EntryOut:
    """Needs to be allowed to send; refused with `contact_opted_out` when the person told us to stop."""
    require(context.subject, Permission.MESSAGES_SEND)
    message = await api.reply(
        context.tx,
        context.subject,
        conversation_id,
        body=body.body,
        message_id=body.message_id,
        reply_to=body.reply_to,
    )
    return EntryOut.of(message)


@router.get("/{conversation_id}/activity", summary="What happened to a conversation, newest first")
async def list_conversation_activity(context: Reader, conversation_id: UUID, page: PageQuery) -> PageOut[ActivityOut]:
    """Its events."""
    found = await api.activity(context.tx, conversation_id, page)
    return PageOut(items=[ActivityOut.of(entry) for entry in found.items], next_cursor=found.next_cursor)


@router.get("/{conversation_id}/notes", summary="Private notes, newest first")
async def list_conversation_notes(context: Reader, conversation_id: UUID, page: PageQuery) -> PageOut[NoteOut]:
    """They never leave the house."""
    found = await api.list_notes(context.tx, conversation_id, page)
    return PageOut(items=[NoteOut.of(note) for note in found.items], next_cursor=found.next_cursor)


@router.post("/{conversation_id}/notes", status_code=201, summary="Leave a private note")
async def add_conversation_note(context: Writer, conversation_id: UUID, body: NoteIn) -> NoteOut:
    """Whoever is mentioned must be a member."""
    note = await api.add_note(context.tx, context.subject, conversation_id, body=body.body, mentions=body.mentions)
    return NoteOut.of(note)


@router.put("/{conversation_id}/notes/{note_id}", summary="Change one's own note")
async def edit_conversation_note(context: Writer, conversation_id: UUID, note_id: UUID, body: NoteIn) -> NoteOut:
    """Only its author may."""
    note = await api.edit_note(
        context.tx, context.subject, conversation_id, note_id, body=body.body, mentions=body.mentions
    )
    return NoteOut.of(note)


@router.delete("/{conversation_id}/notes/{note_id}", status_code=204, summary="Delete one's own note")
async def delete_conversation_note(context: Writer, conversation_id: UUID, note_id: UUID) -> None:
    """Only its author may."""
    await api.remove_note(context.tx, context.subject, conversation_id, note_id)


@router.get("/{conversation_id}/draft", summary="What the user has begun to write")
async def get_conversation_draft(context: Reader, conversation_id: UUID) -> DraftBody:
    """Each user has a draft of their own; empty for none."""
    await api.get(context.tx, conversation_id)
    return DraftBody(body=await api.get_draft(context.tx, conversation_id, _user(context)))


@router.put("/{conversation_id}/draft", status_code=204, summary="Keep what the user has begun to write")
async def save_conversation_draft(context: Writer, conversation_id: UUID, body: DraftBody) -> None:
    """An empty one is dropped."""
    await api.save_draft(context.tx, conversation_id, _user(context), body.body)


@canned.get("", summary="Canned replies by shortcut")
async def list_canned_replies(context: Reader, page: PageQuery, query: Needle = None) -> PageOut[CannedReplyOut]:
    """`query` is part of a shortcut, title or text."""
    found = await api.list_canned(context.tx, page, query)
    return PageOut(items=[CannedReplyOut.of(reply) for reply in found.items], next_cursor=found.next_cursor)


@canned.post("", status_code=201, summary="Store a canned reply")
async def create_canned_reply(context: Writer, body: CannedReplyIn) -> CannedReplyOut:
    """Its text may hold template variables."""
    reply = await api.create_canned(context.tx, shortcut=body.shortcut, title=body.title, text=body.text)
    return CannedReplyOut.of(reply)


@canned.put("/{reply_id}", summary="Replace a canned reply")
async def edit_canned_reply(context: Writer, reply_id: UUID, body: CannedReplyIn) -> CannedReplyOut:
    """As a whole."""
    reply = await api.edit_canned(context.tx, reply_id, shortcut=body.shortcut, title=body.title, text=body.text)
    return CannedReplyOut.of(reply)


@canned.delete("/{reply_id}", status_code=204, summary="Delete a canned reply")
async def delete_canned_reply(context: Writer, reply_id: UUID) -> None:
    """For good."""
    await api.remove_canned(context.tx, reply_id)


def _user(context: Context) -> UUID:
    if context.subject.id is None:
        raise BadAct("Only a user or key has drafts.")
    return context.subject.id
