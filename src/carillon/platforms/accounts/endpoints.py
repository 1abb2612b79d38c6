"""HTTP of the account pool."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission
from carillon.platforms.connectors.port import AccountState, Platform

from . import api
from .contracts import AccountFilter, AccountView
from .schemas import (
    AccountCountsOut,
    AccountIn,
    AccountOut,
    AccountPatch,
    AccountsIn,
    ActionIn,
    ActionOut,
    ConnectorOut,
    ConnectorsOut,
    ItemOut,
    ItemsOut,
    SecretIn,
    TimelineOut,
)

Reader = Annotated[Context, allow(Permission.ACCOUNTS_READ)]
Writer = Annotated[Context, allow(Permission.ACCOUNTS_WRITE)]
Needle = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]

router = make_router("/accounts", "accounts")
connectors = make_router("/connectors", "accounts")


def _filter(
    state: AccountState | None = None,
    platform: Platform | None = None,
    connector: Needle = None,
    label: Needle = None,
    portfolio: Needle = None,
    proxy_id: UUID | None = None,
    query: Needle = None,
) -> AccountFilter:
    return AccountFilter(state, platform.value if platform else None, connector, label, portfolio, proxy_id, query)


Wanted = Annotated[AccountFilter, Depends(_filter)]


@connectors.get("", summary="Connectors that accounts can use")
async def list_connectors(_context: Reader) -> ConnectorsOut:
    """With the JSON schema of their settings."""
    return ConnectorsOut(items=[ConnectorOut.of(info) for info in api.CONNECTORS.values()])


@router.get("", summary="Accounts, newest first")
async def list_accounts(context: Reader, wanted: Wanted, page: PageQuery) -> PageOut[AccountOut]:
    """With their states explained, the process that runs each, and what it did today."""
    found = await api.list_accounts(context.tx, wanted, page)
    return PageOut(items=[_out(view) for view in found.items], next_cursor=found.next_cursor)


@router.get("/counts", summary="How many accounts are in which state")
async def count_accounts(context: Reader, wanted: Wanted) -> AccountCountsOut:
    """Under the same filters as the list."""
    states = await api.count(context.tx, wanted)
    return AccountCountsOut(total=sum(states.values()), states=dict(states))


@router.post("", status_code=201, summary="Add an account")
async def create_account(context: Writer, body: AccountIn) -> AccountOut:
    """A worker opens it within seconds, unless it is parked."""
    account = await api.create(context.tx, context.resources.vault, context.subject, body.new())
    return _out(await api.view(context.tx, account.id))


@router.post("/bulk", summary="Add many accounts")
async def create_accounts(context: Writer, body: AccountsIn) -> ItemsOut:
    """A row that is not valid keeps none of the others back; results stand in the order of the rows."""
    rows = [row.new() for row in body.accounts]
    results = await api.create_many(context.tx, context.resources.vault, context.subject, rows)
    return ItemsOut(items=[ItemOut.of(result) for result in results])


@router.post("/actions", summary="Park, unpark or label many accounts")
async def act_on_accounts(context: Writer, body: ActionIn) -> ActionOut:
    """Named by id, or all that match a filter."""
    matching = body.matching.filter() if body.matching else None
    result = await api.act(context.tx, context.subject, body.kind, ids=body.ids, matching=matching, label=body.label)
    return ActionOut.of(result)


@router.post("/actions/{action_id}/undo", summary="Undo a bulk action")
async def undo_account_action(context: Writer, action_id: UUID) -> ActionOut:
    """For those accounts that it changed."""
    return ActionOut.of(await api.undo(context.tx, context.subject, action_id))


@router.get("/{account_id}", summary="One account")
async def get_account(context: Reader, account_id: UUID) -> AccountOut:
    """Its secret is never shown."""
    return _out(await api.view(context.tx, account_id))


@router.patch("/{account_id}", summary="Change an account")
async def edit_account(context: Writer, account_id: UUID, body: AccountPatch) -> AccountOut:
    """A running session takes up new settings or another proxy within seconds."""
    await api.edit(context.tx, context.subject, account_id, body.edit())
    return _out(await api.view(context.tx, account_id))


@router.put("/{account_id}/secret", status_code=204, summary="Replace an account's credentials")
async def set_account_secret(context: Writer, account_id: UUID, body: SecretIn) -> None:
    """They are sealed at once and never shown."""
    secret = body.secret.get_secret_value().encode() if body.secret else None
    await api.set_secret(context.tx, context.resources.vault, context.subject, account_id, secret)


@router.post("/{account_id}/park", summary="Still an account")
async def park_account(context: Writer, account_id: UUID) -> AccountOut:
    """Its session is closed at once; its messages wait."""
    await api.park(context.tx, context.subject, account_id)
    return _out(await api.view(context.tx, account_id))


@router.post("/{account_id}/unpark", summary="Let a parked account run again")
async def unpark_account(context: Writer, account_id: UUID) -> AccountOut:
    """One that was banned or signed out meanwhile stays so."""
    await api.unpark(context.tx, context.subject, account_id)
    return _out(await api.view(context.tx, account_id))


@router.post("/{account_id}/sign-in", summary="Sign a banned or signed-out account in again")
async def sign_in_account(context: Writer, account_id: UUID) -> AccountOut:
    """The only way out of these states."""
    await api.sign_in_again(context.tx, context.subject, account_id)
    return _out(await api.view(context.tx, account_id))


@router.delete("/{account_id}", status_code=204, summary="Remove an account")
async def delete_account(context: Writer, account_id: UUID) -> None:
    """Its credentials are destroyed; its messages and history stay."""
    await api.remove(context.tx, context.subject, account_id)


@router.get("/{account_id}/timeline", summary="What happened to an account, newest first")
async def get_account_timeline(context: Reader, account_id: UUID, page: PageQuery) -> PageOut[TimelineOut]:
    """Its events."""
    found = await api.timeline(context.tx, account_id, page)
    return PageOut(items=[TimelineOut.of(entry) for entry in found.items], next_cursor=found.next_cursor)


def _out(view: AccountView) -> AccountOut:
    return AccountOut.of(view, api.explain(view.account.reason_code))
