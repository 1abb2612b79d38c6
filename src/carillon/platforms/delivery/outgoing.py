"""Direct messages into the ledger: replies, confirmations, notices and tests."""

from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert

from carillon.audience.consents import api as consents
from carillon.events import outbox
from carillon.events.catalog.platforms import MessageAccepted, MessageResent
from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.platforms.accounts import api as accounts
from carillon.storage.database import Tx

from .contracts import DIRECT_LANE, PRIORITY, RESENT, Draft, Message, MessageKind, MessageState
from .errors import (
    ContactUnreachable,
    EmptyMessage,
    MessageNotFound,
    MessageTooLong,
    NotCancellable,
    NotResendable,
    NotSendable,
    UnknownAccount,
)
from .ledger import announce, purpose_of
from .models import message
from .reading import get

LONGEST = 4096
"""Characters; the least of what the platforms take."""

DUE_CHANNEL = "carillon_due"
"""NOTIFY channel that wakes the dispatchers."""


async def accept(tx: Tx, draft: Draft, *, peer: str | None = None, resends: UUID | None = None) -> Message:
    """Take a direct message into the ledger: from here on it survives everything.

    Args:
        tx: Inside the tenant.
        draft: What to send; with a `message_id` seen before, the message accepted then is returned.
        peer: The chat to answer in, when it is known; else the contact's address on the account's platform.
        resends: The message that this one sends once more.

    Raises:
        EmptyMessage, MessageTooLong: The text.
        UnknownAccount: The account.
        ContactUnreachable, NotSendable: The person cannot or may not be reached.
    """
    if draft.message_id is not None:
        known = await _known(tx, draft.message_id)
        if known is not None:
            return known
    _check_text(draft.body)
    try:
        account = await accounts.get(tx, draft.account_id)
    except accounts.AccountNotFound as error:
        raise UnknownAccount(place="field account_id") from error
    peer = peer or await _peer(tx, draft, account.platform)
    message_id = draft.message_id or uuid7()
    accepted = await tx.scalar(
        insert(message)
        .values(
            tenant_id=tx.tenant,
            id=message_id,
            account_id=account.id,
            contact_id=draft.contact_id,
            lane=DIRECT_LANE,
            platform=account.platform,
            peer=peer,
            kind=draft.kind.value,
            priority=PRIORITY[draft.kind],
            body=draft.body,
            reply_to=draft.reply_to,
            actor_id=draft.actor_id,
            state=MessageState.QUEUED.value,
            # At once means at once to whoever reads what is due, and that goes by the database's clock.
            due_at=draft.due_at or func.clock_timestamp(),
        )
        .on_conflict_do_nothing()
        .returning(message.c.id)
    )
    if accepted is None:
        # The same call came twice at once, and the other one was first.
        return await get(tx, message_id)
    await outbox.append(
        tx,
        MessageAccepted(
            message_id=message_id,
            account_id=account.id,
            contact_id=draft.contact_id,
            kind=draft.kind.value,
            resends=resends,
        ),
    )
    await wake(tx, account.id)
    return await get(tx, message_id)


async def wake(tx: Tx, account_id: UUID | None = None) -> None:
    """Tell the dispatchers, when this transaction commits, that something is due: of one account, or of any."""
    driver = await tx.driver()
    await driver.execute("SELECT pg_notify($1, $2)", DUE_CHANNEL, str(account_id or ""))


async def cancel(tx: Tx, message_id: UUID) -> Message:
    """Take back a message that has not left.

    Raises:
        MessageNotFound: It is not there.
        NotCancellable: It is on its way or settled.
    """
    before = await get(tx, message_id)
    changed = await tx.all(
        update(message)
        .where(
            message.c.tenant_id == tx.tenant,
            message.c.id == message_id,
            message.c.state.in_([MessageState.QUEUED.value, MessageState.HELD.value]),
        )
        .values(state=MessageState.CANCELLED.value, reason="cancelled")
        .returning(message)
    )
    if not changed:
        raise NotCancellable(state=before.state.value)
    await announce(tx, changed)
    return await get(tx, message_id)


async def resend(tx: Tx, message_id: UUID, actor_id: UUID | None) -> Message:
    """Send a message whose outcome is unknown, or that failed, once more: a person takes the risk of a second copy.

    It becomes a new message with a new key; the old row keeps its history. One of unknown outcome is marked as
    `resent`, so that nobody is asked to decide about it again: of two who decide at the same moment one is refused.

    Raises:
        MessageNotFound: It is not there.
        NotResendable: It is in another state, was resent already or has no text.
    """
    before = await get(tx, message_id, lock=True)
    resent = before.state is MessageState.UNKNOWN and before.reason == RESENT
    if before.state not in (MessageState.UNKNOWN, MessageState.FAILED) or before.body is None or resent:
        raise NotResendable(state=before.state.value)
    kind = before.kind if before.kind is not MessageKind.CAMPAIGN else MessageKind.NOTICE
    again = Draft(
        account_id=before.account_id, contact_id=before.contact_id, body=before.body, kind=kind, actor_id=actor_id
    )
    made = await accept(tx, again, peer=before.peer, resends=message_id)
    if before.state is MessageState.UNKNOWN:
        await tx.execute(
            update(message)
            .where(message.c.tenant_id == tx.tenant, message.c.id == message_id)
            .values(reason=RESENT, reason_text=f"A person sent it again as {made.id}.")
        )
    await outbox.append(tx, MessageResent(message_id=message_id, resent_as=made.id, actor_id=actor_id))
    return made


def _check_text(body: str) -> None:
    if not body.strip():
        raise EmptyMessage(place="field body")
    if len(body) > LONGEST:
        raise MessageTooLong(place="field body", longest=LONGEST, length=len(body))


async def _known(tx: Tx, message_id: UUID) -> Message | None:
    try:
        return await get(tx, message_id)
    except MessageNotFound:
        return None


async def _peer(tx: Tx, draft: Draft, platform: str) -> str:
    """The person's address, if they may be written to: refused here already, so that the writer learns of it."""
    now = SystemClock().now()
    standings = await consents.lock_verdicts(
        tx, [draft.contact_id], platform=platform, purpose=purpose_of(draft.kind), at=now
    )
    standing = standings.get(draft.contact_id)
    if standing is None or standing.reason in ("no_address", "gone") or standing.peer is None:
        raise ContactUnreachable(place="field contact_id")
    if standing.reason is not None:
        raise NotSendable(place="field contact_id", reason=standing.reason)
    return standing.peer
