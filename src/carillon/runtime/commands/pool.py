"""`accounts`: the account pool."""

import os
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from carillon.kernel.errors import Invalid
from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.storage.resources import Resources

from .shared import AsJson, TenantSlug, show, table, tenant_of, with_resources

group = typer.Typer(help="The account pool.", no_args_is_help=True)
app = typer.Typer()
app.add_typer(group, name="accounts")


@group.command("list")
def list_accounts(tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Show every account with its state and what to do about it."""

    async def work(resources: Resources) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        async with tenant_of(resources, tenant) as found:
            cursor: str | None = None
            while True:
                async with resources.database.transaction(found.id) as tx:
                    page = await accounts.list_accounts(
                        tx, accounts.AccountFilter(), PageRequest(limit=200, cursor=cursor)
                    )
                rows += [_row(view.account) for view in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    return rows

    rows = with_resources(work)
    show(rows, as_json=as_json, text=lambda: table(rows, "No accounts."))


def _row(account: accounts.Account) -> dict[str, Any]:
    return {
        "id": str(account.id),
        "platform": account.platform,
        "name": account.name,
        "address": account.address,
        "state": account.state.value,
        "reason": account.reason,
    }


@group.command("add")
def add_account(
    connector: Annotated[str, typer.Argument(help=f"One of {', '.join(accounts.CONNECTORS)}.")],
    name: Annotated[str, typer.Argument(help="For people.")],
    address: Annotated[str, typer.Argument(help="Its public name on the platform.")],
    tenant: TenantSlug = "default",
    settings: Annotated[str, typer.Option(help="The connector's options, as JSON.")] = "{}",
    secret_from: Annotated[
        str | None, typer.Option(help="Environment variable that holds the credentials (never an argument).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add an account."""
    if secret_from is not None and secret_from not in os.environ:
        raise typer.BadParameter(f"the environment has no {secret_from}", param_hint="--secret-from")

    async def work(resources: Resources) -> dict[str, Any]:
        try:
            options = orjson.loads(settings)
        except orjson.JSONDecodeError as error:
            raise Invalid("--settings is not JSON.", place=f"byte {error.pos}") from error
        secret = os.environ[secret_from].encode() if secret_from else None
        async with tenant_of(resources, tenant) as found, resources.database.transaction(found.id) as tx:
            new = accounts.NewAccount(connector, name, address, settings=options, secret=secret)
            return _row(await accounts.create(tx, resources.vault, system_subject(found.id), new))

    added = with_resources(work)
    show(added, as_json=as_json, text=lambda: f"added {added['name']} ({added['id']})")


@group.command("park")
def park_account(account_id: UUID, tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Leave an account still; its messages wait."""
    _act(account_id, tenant, "park", as_json=as_json)


@group.command("unpark")
def unpark_account(account_id: UUID, tenant: TenantSlug = "default", as_json: AsJson = False) -> None:
    """Let a parked account work again."""
    _act(account_id, tenant, "unpark", as_json=as_json)


def _act(account_id: UUID, tenant: str, action: str, *, as_json: bool) -> None:
    async def work(resources: Resources) -> accounts.Account:
        async with tenant_of(resources, tenant) as found, resources.database.transaction(found.id) as tx:
            act = accounts.park if action == "park" else accounts.unpark
            return await act(tx, system_subject(found.id), account_id)

    row = _row(with_resources(work))
    show(row, as_json=as_json, text=lambda: table([row], ""))
