"""Calls of a platform to us: verified, stored raw, answered 200, and only then understood.

Nothing is lost when we cannot understand a call: it stays stored with the error, and keeps nobody else's waiting.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID

import orjson
from fastapi import APIRouter, Request
from sqlalchemy import func, select, update

from carillon.events.catalog.platforms import WebhookReceived
from carillon.events.consumer import Consumer, Recorded
from carillon.gateway.context import Anyone
from carillon.gateway.routing import body_limit, open_router
from carillon.kernel.errors import TooLarge, Unauthenticated
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.errors import BadWebhook
from carillon.platforms.connectors.port import Connector, Update, WebhookReceiver
from carillon.storage.database import Tx
from carillon.storage.errors import Contention
from carillon.storage.resources import Resources

from . import inbound, metrics
from .intake import Call, Intake
from .models import webhook_call

LARGEST = 3_500_000
"""Bytes; WhatsApp's calls reach 3 MB."""

_KEPT_HEADERS = ("content-type", "user-agent")
_BATCH = 300
_PIECE = 8_000_000
"""Bytes of calls that are held in memory at once."""
_TRIES = 5
_GONE = "The account was deleted before the call was read."


class BadSignature(Unauthenticated):
    """The call does not bear this account's signature."""

    code = "bad_signature"


class Receiver:
    """Takes the calls of one process."""

    def __init__(self, resources: Resources, connectors: Mapping[str, Connector]) -> None:
        """Create it; it remembers accounts for a moment, so that not every call decrypts a secret."""
        self._resources = resources
        self._connectors = connectors
        self._memory = accounts.AccountMemory(resources.vault, resources.clock)
        self._intake = Intake(resources)

    async def receive(self, tenant_id: UUID, account_id: UUID, headers: Mapping[str, str], body: bytes) -> None:
        """Verify and store one call; when this returns it may be answered 200.

        Raises:
            AccountNotFound: No such account, or its connector is not called by its platform.
            BadSignature: It was not signed with the account's secret.
            TooLarge: More than any platform sends.
            Contention: The account changes all the time.
        """
        if len(body) > LARGEST:
            raise TooLarge(most=LARGEST)
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        known = self._memory.recall(tenant_id, account_id)
        if known is None or not self._verified(known, headers, body):
            known = await self._verify(tenant_id, account_id, headers, body)
        for _ in range(_TRIES):
            if await self._intake.store(tenant_id, Call(account_id, known.version, kept, body)):
                metrics.WEBHOOKS.labels("accepted").inc()
                return
            # The account changed since we looked: only its present secret counts.
            known = await self._verify(tenant_id, account_id, headers, body)
        raise Contention

    async def _verify(
        self, tenant_id: UUID, account_id: UUID, headers: Mapping[str, str], body: bytes
    ) -> accounts.Remembered:
        async with self._resources.database.transaction(tenant_id) as tx:
            known = await self._memory.load(tx, account_id)
        if not self._verified(known, headers, body):
            metrics.WEBHOOKS.labels("bad_signature").inc()
            raise BadSignature
        return known

    def _verified(self, known: accounts.Remembered, headers: Mapping[str, str], body: bytes) -> bool:
        receiver = self._connectors.get(known.account.connector)
        if not isinstance(receiver, WebhookReceiver):
            raise accounts.AccountNotFound
        return known.config.secret is not None and receiver.verify_webhook(known.config, headers, body)


def router(connectors: Mapping[str, Connector]) -> APIRouter:
    """Where platforms call us: `POST /hooks/{tenant_id}/{account_id}`, open to anyone with the signature."""
    routes = open_router("/hooks", "webhooks")
    made: list[Receiver] = []

    @routes.post("/{tenant_id}/{account_id}", status_code=200, summary="Take a platform's call")
    @body_limit(LARGEST)
    async def receive_webhook(tenant_id: UUID, account_id: UUID, request: Request, context: Anyone) -> None:
        if not made:
            made.append(Receiver(context.resources, connectors))
        await made[0].receive(tenant_id, account_id, request.headers, await request.body())

    return routes


def consumer(connectors: Mapping[str, Connector]) -> Consumer:
    """The consumer that understands the stored calls, with the connectors at hand."""
    memory: list[accounts.AccountMemory] = []

    async def handle(resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
        if not memory:
            memory.append(accounts.AccountMemory(resources.vault, resources.clock))
        received = {one.event.call_id: one.event for one in events if isinstance(one.event, WebhookReceived)}
        named = {event.account_id for event in received.values()}
        known = await memory[0].current(tx, named)
        if missing := named - known.keys():
            # We said that what came before an account was removed is safe: a STOP among it counts.
            known |= await memory[0].removed(tx, missing)
        async for calls in _pieces(tx, list(received)):
            given: list[inbound.Given] = []
            read: list[UUID] = []
            for call_id, headers, body in calls:
                one = known.get(received[call_id].account_id)
                if one is None:
                    # Not a fault that waiting could mend: it would only keep everybody else's calls waiting.
                    await _note(tx, call_id, _GONE)
                    continue
                given.append((one.account, await _understood(tx, connectors, one, call_id, headers, body)))
                read.append(call_id)
            refused = await inbound.accept_many(tx, resources, given)
            for place, why in refused.items():
                metrics.WEBHOOKS.labels("not_understood").inc()
                await _note(tx, read[place], why)

    return Consumer("platforms.delivery.webhooks", (WebhookReceived,), handle, batch=_BATCH)


async def _pieces(tx: Tx, ids: Sequence[UUID]) -> AsyncIterator[list[tuple[UUID, Mapping[str, str], bytes]]]:
    """The stored calls in the order of their events, no more of them at once than memory should hold."""
    mine = webhook_call.c.tenant_id == tx.tenant
    length = func.octet_length(webhook_call.c.body)
    rows = await tx.all(select(webhook_call.c.id, length.label("length")).where(mine, webhook_call.c.id.in_(list(ids))))
    lengths = {row["id"]: row["length"] for row in rows}
    piece: list[UUID] = []
    size = 0
    for call_id in [one for one in ids if one in lengths]:
        if piece and size + lengths[call_id] > _PIECE:
            yield await _read(tx, piece)
            piece, size = [], 0
        piece.append(call_id)
        size += lengths[call_id]
    if piece:
        yield await _read(tx, piece)


async def _read(tx: Tx, ids: Sequence[UUID]) -> list[tuple[UUID, Mapping[str, str], bytes]]:
    driver = await tx.driver()
    rows = await driver.fetch(
        "SELECT c.id, c.headers, c.body FROM unnest($2::uuid[]) WITH ORDINALITY AS n (id, place) "
        "JOIN platforms.webhook_call c ON c.tenant_id = $1 AND c.id = n.id ORDER BY n.place",
        tx.tenant,
        list(ids),
    )
    return [(row["id"], _headers(row["headers"]), row["body"]) for row in rows]


def _headers(stored: str | Mapping[str, str]) -> Mapping[str, str]:
    """Without a typed column the driver hands jsonb over as text."""
    return orjson.loads(stored) if isinstance(stored, str) else stored


async def _understood(
    tx: Tx,
    connectors: Mapping[str, Connector],
    known: accounts.Remembered,
    call_id: UUID,
    headers: Mapping[str, str],
    body: bytes,
) -> Sequence[Update]:
    receiver = connectors.get(known.account.connector)
    assert isinstance(receiver, WebhookReceiver)
    try:
        return receiver.parse_webhook(known.config, headers, body)
    except BadWebhook as error:
        metrics.WEBHOOKS.labels("not_understood").inc()
        # A platform repeats what it said; it will not become clearer. Kept with the reason for a person to see.
        await _note(tx, call_id, str(error))
        return error.understood


async def _note(tx: Tx, call_id: UUID, error: str) -> None:
    mine = (webhook_call.c.tenant_id == tx.tenant) & (webhook_call.c.id == call_id)
    await tx.execute(update(webhook_call).where(mine).values(error=error))
