"""HTTP of the send ledger: its messages, and sending one directly."""

from typing import Annotated
from uuid import UUID

from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.errors import Conflict
from carillon.kernel.permissions import Permission

from . import api
from .contracts import MessageState
from .schemas import ExplanationOut, MessageIn, MessageOut, RestoredIn, RestoredOut, StuckList, StuckOut

Reader = Annotated[Context, allow(Permission.MESSAGES_READ)]
Sender = Annotated[Context, allow(Permission.MESSAGES_SEND)]

router = make_router("/messages", "messages")
delivery_router = make_router("/delivery", "delivery")


@delivery_router.get("/stuck", summary="What does not move, and what would free it")
async def list_stuck(context: Reader) -> StuckList:
    """What merely waits for its time, quiet hours, a flood or a paused campaign is not among them."""
    found = await api.find_stuck(context.tx)
    return StuckList(items=[StuckOut.model_validate(one, from_attributes=True) for one in found])


@router.get("", summary="Messages, newest first")
async def list_messages(
    context: Reader,
    page: PageQuery,
    *,
    campaign_id: UUID | None = None,
    contact_id: UUID | None = None,
    account_id: UUID | None = None,
    state: MessageState | None = None,
) -> PageOut[MessageOut]:
    """Outgoing ones; a conversation's messages show both directions."""
    found = await api.search(
        context.tx, page, campaign_id=campaign_id, contact_id=contact_id, account_id=account_id, state=state
    )
    return PageOut(items=[MessageOut.of(message) for message in found.items], next_cursor=found.next_cursor)


@router.get("/{message_id}", summary="One message")
async def get_message(context: Reader, message_id: UUID) -> MessageOut:
    """With its state and, if it failed, why."""
    return MessageOut.of(await api.get(context.tx, message_id))


@router.get("/{message_id}/explanation", summary="The life of one message, in words")
async def explain_message(
    context: Reader, message_id: UUID, language: api.Language = api.Language.ENGLISH
) -> ExplanationOut:
    """What happened to it and why, what comes next, and what you can do; no text or address of the person."""
    return ExplanationOut.of(await api.explain(context.tx, message_id), language)


@router.post("", status_code=201, summary="Send one message")
async def send_message(context: Sender, body: MessageIn) -> MessageOut:
    """Accepted once this answers: it survives everything, and leaves after consent, opt-out and limits allow."""
    message = await api.accept(context.tx, body.draft(context.subject.id))
    if (message.account_id, message.contact_id, message.body) != (body.account_id, body.contact_id, body.body):
        raise Conflict("That message id belongs to another message.", place="field message_id")
    return MessageOut.of(message)


@router.post("/release-restored", summary="Send or cancel messages held after a restore")
async def release_restored_messages(context: Sender, body: RestoredIn) -> RestoredOut:
    """The next thousands of them; call again while `more`. Some may have been sent after the backup was made."""
    messages, more = await api.release_restored(
        context.tx,
        context.subject,
        action=body.action,
        campaign_id=body.campaign_id,
        account_id=body.account_id,
    )
    return RestoredOut(messages=messages, more=more)


@router.post("/{message_id}/cancel", summary="Take back a message that has not left")
async def cancel_message(context: Sender, message_id: UUID) -> MessageOut:
    """Refused once it is on its way."""
    return MessageOut.of(await api.cancel(context.tx, message_id))


@router.post("/{message_id}/resend", status_code=201, summary="Send a failed or unconfirmed message once more")
async def resend_message(context: Sender, message_id: UUID) -> MessageOut:
    """As a new message; with an unconfirmed one you take the risk of a second copy."""
    return MessageOut.of(await api.resend(context.tx, message_id, context.subject.id))
