"""Calls of a platform to us: verified, stored raw, answered 200, and only then understood.

Nothing is lost when we cannot understand a call: it stays stored with the error, and its event goes to the dead
letters, from where it can be replayed after a fix.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from fastapi import APIRouter, Request
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from carillon.events import outbox
from carillon.events.catalog.platforms import WebhookReceived
from carillon.events.consumer import Consumer, Recorded
from carillon.gateway.context import Anyone
from carillon.gateway.routing import body_limit, open_router
from carillon.kernel.errors import TooLarge, Unauthenticated
from carillon.kernel.ids import uuid7
from carillon.ops import crash_points
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.errors import BadWebhook
from carillon.platforms.connectors.port import Connector, WebhookReceiver
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import inbound
from .errors import UnknownAccount
from .models import webhook_call

LARGEST = 3_500_000
"""Bytes; WhatsApp's calls reach 3 MB."""

_KEPT_HEADERS = ("content-type", "user-agent")


class BadSignature(Unauthenticated):
    """The call does not bear this account's signature."""

    code = "bad_signature"


async def receive(
    resources: Resources,
    connectors: Mapping[str, Connector],
    tenant_id: UUID,
    account_id: UUID,
    headers: Mapping[str, str],
    body: bytes,
) -> None:
    """Verify and store one call; when this returns it may be answered 200.

    Raises:
        UnknownAccount: No such account, or its connector is not called by its platform.
        BadSignature: It was not signed with the account's secret.
        TooLarge: More than any platform sends.
    """
    if len(body) > LARGEST:
        raise TooLarge(most=LARGEST)
    async with resources.database.transaction(tenant_id) as tx:
        try:
            account = await accounts.get(tx, account_id)
            config = await accounts.config(tx, resources.vault, account_id, outgoing=False)
        except accounts.AccountNotFound as error:
            raise UnknownAccount from error
        receiver = connectors.get(account.connector)
        if not isinstance(receiver, WebhookReceiver):
            raise UnknownAccount
        if config.secret is None or not receiver.verify_webhook(config, headers, body):
            raise BadSignature
        call_id = uuid7()
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        await tx.execute(
            insert(webhook_call).values(tenant_id=tenant_id, id=call_id, account_id=account_id, headers=kept, body=body)
        )
        await outbox.append(tx, WebhookReceived(call_id=call_id, account_id=account_id))
        crash_points.reached("webhook.uncommitted")
    crash_points.reached("webhook.committed")


def router(connectors: Mapping[str, Connector]) -> APIRouter:
    """Where platforms call us: `POST /hooks/{tenant_id}/{account_id}`, open to anyone with the signature."""
    routes = open_router("/hooks", "webhooks")

    @routes.post("/{tenant_id}/{account_id}", status_code=200, summary="Take a platform's call")
    @body_limit(LARGEST)
    async def receive_webhook(tenant_id: UUID, account_id: UUID, request: Request, context: Anyone) -> None:
        await receive(context.resources, connectors, tenant_id, account_id, dict(request.headers), await request.body())

    return routes


def consumer(connectors: Mapping[str, Connector]) -> Consumer:
    """The consumer that understands the stored calls, with the connectors at hand."""

    async def handle(resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
        for recorded in events:
            assert isinstance(recorded.event, WebhookReceived)
            await _understand(resources, tx, connectors, recorded.event)

    return Consumer("platforms.delivery.webhooks", (WebhookReceived,), handle, batch=50)


async def _understand(
    resources: Resources, tx: Tx, connectors: Mapping[str, Connector], event: WebhookReceived
) -> None:
    call = await tx.first(
        select(webhook_call.c.headers, webhook_call.c.body).where(
            webhook_call.c.tenant_id == tx.tenant, webhook_call.c.id == event.call_id
        )
    )
    if call is None:
        return
    account = await accounts.get(tx, event.account_id)
    config = await accounts.config(tx, resources.vault, event.account_id, outgoing=False)
    receiver = connectors.get(account.connector)
    assert isinstance(receiver, WebhookReceiver)
    try:
        updates = receiver.parse_webhook(config, call["headers"], call["body"])
    except BadWebhook as error:
        # A platform repeats what it said; it will not become clearer. Kept with the reason for a person to see.
        await tx.execute(
            update(webhook_call)
            .where(webhook_call.c.tenant_id == tx.tenant, webhook_call.c.id == event.call_id)
            .values(error=str(error))
        )
        return
    await inbound.accept(tx, resources, account, updates)
