"""Messages that came in, of one tenant: a handful of statements for all of them, whatever account they came to."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from carillon.audience.consents import api as consents
from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.contracts import Known, Sender
from carillon.events import outbox
from carillon.events.catalog.platforms import InboundReceived
from carillon.kernel.ids import uuid7s
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import InboundMessage, Platform
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import metrics, outgoing
from .contracts import Draft, MessageKind
from .errors import UnknownAccount

_INSERT = """
INSERT INTO platforms.inbound_message
    (tenant_id, id, account_id, contact_id, chat, sender, platform_id, body, reply_to, raw, sent_at)
SELECT $1, n.id, n.account_id, n.contact_id, n.chat, n.sender, n.platform_id, n.body, n.reply_to, n.raw::jsonb, n.at
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::timestamptz[])
    AS n (id, account_id, contact_id, chat, sender, platform_id, body, reply_to, raw, at)
ORDER BY n.id
ON CONFLICT DO NOTHING
RETURNING id
"""

_ROUTE = """
INSERT INTO platforms.contact_route AS r (tenant_id, id, platform, account_id, at)
SELECT $1, n.id, n.platform, n.account_id, n.at
FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[]) AS n (id, platform, account_id, at)
ORDER BY n.id, n.platform
ON CONFLICT (tenant_id, id, platform) DO UPDATE SET account_id = excluded.account_id, at = excluded.at
WHERE r.at < excluded.at
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message and the account it came to."""

    account: accounts.Account
    message: InboundMessage


@dataclass(frozen=True, slots=True)
class _New:
    """A message that was not known, as it was stored."""

    id: UUID
    account: accounts.Account
    message: InboundMessage
    person: Known


async def store(tx: Tx, resources: Resources, arrivals: Sequence[Arrival]) -> int:
    """Write messages in their order, with all they entail; returns how many were new.

    They are well-formed (see `wellformed`): their texts and what the platform said can be stored.

    Raises:
        carillon.audience.contacts.errors.AddressInvalid: A sender cannot be an address of its platform.
    """
    if not arrivals:
        return 0
    people = await contacts.resolve_many(tx, resources.vault, [_sender(one) for one in arrivals])
    new = await _insert(tx, arrivals, people)
    if not new:
        return 0
    at: dict[UUID, datetime] = {}
    for one in new:
        at[one.person.id] = max(at.get(one.person.id, one.message.at), one.message.at)
    await contacts.touch_inbound(tx, at)
    await _remember_routes(tx, new)
    opted_out = await _heed(tx, resources, new)
    await outbox.append(tx, *[_event(one, opted_out=one.id in opted_out) for one in new])
    for connector, count in Counter(one.account.connector for one in new).items():
        metrics.INBOUND.labels(connector).inc(count)
    return len(new)


def _event(one: _New, *, opted_out: bool) -> InboundReceived:
    return InboundReceived(inbound_id=one.id, account_id=one.account.id, contact_id=one.person.id, opted_out=opted_out)


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


def _sender(arrival: Arrival) -> Sender:
    platform, message = Platform(arrival.account.platform), arrival.message
    kind = address_kind(platform, message.sender)
    return Sender(platform.value, kind, message.sender, message.sender_name or "")


async def _insert(tx: Tx, arrivals: Sequence[Arrival], people: Sequence[Known]) -> list[_New]:
    """Those that were not known; what stands twice among them counts once."""
    given = [
        _New(one_id, one.account, one.message, person)
        for one_id, one, person in zip(uuid7s(len(arrivals)), arrivals, people, strict=True)
    ]
    driver = await tx.driver()
    rows = await driver.fetch(
        _INSERT,
        tx.tenant,
        [one.id for one in given],
        [one.account.id for one in given],
        [one.person.id for one in given],
        [one.message.chat for one in given],
        [one.message.sender for one in given],
        [one.message.platform_id for one in given],
        [one.message.text for one in given],
        [one.message.reply_to for one in given],
        [orjson.dumps(dict(one.message.raw)).decode() for one in given],
        [one.message.at for one in given],
    )
    stored = {row["id"] for row in rows}
    return [one for one in given if one.id in stored]


async def _remember_routes(tx: Tx, new: Sequence[_New]) -> None:
    last: dict[tuple[UUID, str], _New] = {}
    for one in new:
        place = (one.person.id, one.account.platform)
        if place not in last or last[place].message.at < one.message.at:
            last[place] = one
    driver = await tx.driver()
    await driver.execute(
        _ROUTE,
        tx.tenant,
        [contact_id for contact_id, _ in last],
        [platform for _, platform in last],
        [one.account.id for one in last.values()],
        [one.message.at for one in last.values()],
    )


async def _heed(tx: Tx, resources: Resources, new: Sequence[_New]) -> set[UUID]:
    """Act on stop and start words in their order; returns the messages that were an opt-out."""
    policy = await consents.get_policy(tx)
    opted_out: set[UUID] = set()
    for one in new:
        detected = consents.detect_opt_out(policy, one.message.text, hint=one.person.language)
        if detected is None:
            continue
        if detected.kind == "start":
            await _start(tx, resources, one)
            continue
        opted_out.add(one.id)
        await _stop(tx, resources, one, consents.confirmation(policy, detected.language))
    return opted_out


async def _start(tx: Tx, resources: Resources, one: _New) -> None:
    await consents.opt_in(
        tx,
        resources.vault,
        one.person.id,
        source="message",
        proof=_proof(one),
        at=one.message.at,
        platform=one.account.platform,
    )


async def _stop(tx: Tx, resources: Resources, one: _New, confirmation: str) -> None:
    first = await consents.opt_out(
        tx,
        resources.vault,
        one.person.id,
        source="message",
        proof=_proof(one),
        at=one.message.at,
        platform=one.account.platform,
    )
    if first:
        writing = Draft(
            account_id=one.account.id,
            contact_id=one.person.id,
            body=confirmation,
            kind=MessageKind.CONFIRMATION,
        )
        # An account that was removed meanwhile cannot say it, and no other may.
        with suppress(UnknownAccount):
            await outgoing.accept(tx, writing, peer=one.message.chat)


def _proof(one: _New) -> str:
    return f"inbound message {one.id}: {one.message.text[:200]}"
