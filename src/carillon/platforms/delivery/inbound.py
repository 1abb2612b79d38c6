"""What comes in: made durable, with all it entails, in one transaction; only then may it be acknowledged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from carillon.audience.consents import api as consents
from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.contracts import Contact
from carillon.events import outbox
from carillon.events.catalog.platforms import InboundReceived
from carillon.kernel.ids import uuid7
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import (
    AccountUpdate,
    Blocked,
    InboundMessage,
    Platform,
    StatusUpdate,
    Update,
)
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import outgoing, statuses
from .contracts import Draft, MessageKind
from .models import contact_route, inbound_message


async def accept(
    tx: Tx,
    resources: Resources,
    account: accounts.Account,
    updates: Sequence[Update],
    state: Mapping[str, bytes | None] | None = None,
) -> int:
    """Write the updates of one account and the connector's state; returns how many messages were new.

    An update seen before changes nothing. An opt-out takes effect here, in the same transaction as the message
    that says it, so nothing is authorised for the person once this has committed.
    """
    new = 0
    for update in updates:
        match update:
            case InboundMessage():
                new += await _message(tx, resources, account, _storable(update))
            case Blocked():
                await _blocked(tx, resources, account, update)
            case AccountUpdate():
                await accounts.change_state(
                    tx, account.id, update.state, update.reason, wait=update.retry_after, at=update.at
                )
    reports = [update for update in updates if isinstance(update, StatusUpdate)]
    if reports:
        await statuses.merge(tx, account.id, reports)
    if state:
        await accounts.save_sync(tx, account.id, state)
    return new


def address_kind(platform: Platform, value: str) -> str:
    """What kind of address this is.

    WhatsApp sends phone numbers or business-scoped ids (`CC.…`), Telegram numeric ids, user names, or the phone
    number we wrote to.
    """
    if platform is Platform.CUSTOM:
        return "custom_id"
    if platform is Platform.WHATSAPP:
        return "phone" if value.removeprefix("+").isdigit() else "whatsapp_bsuid"
    if value.startswith("+"):
        return "phone"
    return "telegram_id" if value.isdigit() else "telegram_username"


def _storable(update: InboundMessage) -> InboundMessage:
    """Without NUL characters: PostgreSQL takes none, and one such message must not block the account for ever."""
    if "\0" not in f"{update.text}{update.chat}{update.sender}{update.platform_id}{update.sender_name}{update.raw}":
        return update
    cleaned: dict[str, Any] = {
        name: value.replace("\0", "")
        for name in ("text", "chat", "sender", "platform_id", "sender_name")
        if isinstance(value := getattr(update, name), str)
    }
    return replace(update, **cleaned, raw={})


async def _message(tx: Tx, resources: Resources, account: accounts.Account, update: InboundMessage) -> int:
    platform = Platform(account.platform)
    contact = await contacts.resolve(
        tx,
        vault=resources.vault,
        platform=platform.value,
        kind=address_kind(platform, update.sender),
        value=update.sender,
        name=update.sender_name or "",
    )
    inbound_id = uuid7()
    statement = (
        insert(inbound_message)
        .values(
            tenant_id=tx.tenant,
            id=inbound_id,
            account_id=account.id,
            contact_id=contact.id,
            chat=update.chat,
            sender=update.sender,
            platform_id=update.platform_id,
            body=update.text,
            reply_to=update.reply_to,
            raw=dict(update.raw),
            sent_at=update.at,
        )
        .on_conflict_do_nothing()
        .returning(inbound_message.c.id)
    )
    if await tx.scalar(statement) is None:
        return 0
    await contacts.touch_inbound(tx, contact.id, at=update.at)
    await _remember_route(tx, contact.id, account, update)
    opted_out = await _heed(tx, resources, account, contact, update, inbound_id)
    await outbox.append(
        tx,
        InboundReceived(inbound_id=inbound_id, account_id=account.id, contact_id=contact.id, opted_out=opted_out),
    )
    return 1


async def _remember_route(tx: Tx, contact_id: UUID, account: accounts.Account, update: InboundMessage) -> None:
    statement = insert(contact_route).values(
        tenant_id=tx.tenant, id=contact_id, platform=account.platform, account_id=account.id, at=update.at
    )
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "id", "platform"],
            set_={"account_id": account.id, "at": update.at},
            where=contact_route.c.at < update.at,
        )
    )


async def _heed(
    tx: Tx,
    resources: Resources,
    account: accounts.Account,
    contact: Contact,
    update: InboundMessage,
    inbound_id: UUID,
) -> bool:
    """Act on a stop or start word; returns whether it was an opt-out."""
    policy = await consents.get_policy(tx)
    detected = consents.detect_opt_out(policy, update.text, hint=contact.language)
    if detected is None:
        return False
    proof = f"inbound message {inbound_id}: {update.text[:200]}"
    if detected.kind == "start":
        await consents.opt_in(
            tx, resources.vault, contact.id, source="message", proof=proof, at=update.at, platform=account.platform
        )
        return False
    new = await consents.opt_out(
        tx, resources.vault, contact.id, source="message", proof=proof, at=update.at, platform=account.platform
    )
    if new:
        await outgoing.accept(
            tx,
            Draft(
                account_id=account.id,
                contact_id=contact.id,
                body=consents.confirmation(policy, detected.language),
                kind=MessageKind.CONFIRMATION,
            ),
            peer=update.chat,
        )
    return True


async def _blocked(tx: Tx, resources: Resources, account: accounts.Account, update: Blocked) -> None:
    platform = Platform(account.platform)
    kind = address_kind(platform, update.peer)
    contact = await contacts.resolve(
        tx, vault=resources.vault, platform=platform.value, kind=kind, value=update.peer
    )
    await consents.opt_out(
        tx, resources.vault, contact.id, source="platform", proof=f"blocked account {account.id}", at=update.at
    )
