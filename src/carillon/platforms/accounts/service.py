"""The account pool: adding, changing and removing accounts, and what their sessions are opened with."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.events import outbox
from carillon.events.catalog.accounts import AccountCreated, AccountDeleted, AccountProxyChanged, AccountUpdated
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import Subject
from carillon.platforms.connectors.errors import AccountError
from carillon.platforms.connectors.port import AccountConfig, AccountState, Platform
from carillon.platforms.proxies import api as proxies
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .checks import check_connector, check_labels, check_platform, check_secret, check_settings, check_text
from .contracts import Account, AccountEdit, NewAccount
from .errors import AccountNotFound, AccountStopped, AddressTaken, BadAccount, NotStopped, ProxyFull, UnknownProxy
from .life import STOPPED, enter
from .reasons import REASONS
from .states import By

_REOPENS = frozenset({"settings", "proxy_id"})
"""Changes that a session only takes up when it is opened anew."""


async def get(tx: Tx, account_id: UUID) -> Account:
    """One account.

    Raises:
        AccountNotFound: It is not there, or not this tenant's.
    """
    account = await repository.find(tx, account_id)
    if account is None:
        raise AccountNotFound
    return account


async def names(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The names of accounts by id, also of deleted ones, in one statement."""
    return await repository.names(tx, ids)


async def create(tx: Tx, vault: Vault, subject: Subject, new: NewAccount) -> Account:
    """Add an account to the pool; a worker opens it at once unless it is parked.

    Raises:
        UnknownConnector, BadAccount, UnknownProxy: It is not valid; `place` says where.
        AddressTaken: The connector has an account with this address.
        ProxyFull: The proxy has as many accounts as it may.
    """
    account = await add(tx, vault, new)
    await audit.record(tx, subject, "account.created", account.id, {"connector": account.connector})
    return account


async def add(tx: Tx, vault: Vault, new: NewAccount) -> Account:
    """`create` without its entry in the audit log: for bulk creation, which makes one for all."""
    info = check_connector(new.connector)
    if new.secret is None and info.needs_secret:
        raise BadAccount("This connector needs credentials.", place="field secret")
    if new.proxy_id is not None:
        await _check_proxy(tx, new.proxy_id, supported=info.supports_proxy)
    account_id = uuid7()
    secret = None
    if new.secret is not None:
        secret = vault.seal(check_secret(new.secret), tenant_id=tx.tenant, account_id=account_id, version=1)
    values: dict[str, Any] = {
        "id": account_id,
        "connector": info.name,
        "platform": check_platform(info, new.platform),
        "name": check_text(new.name, "name"),
        "address": check_text(new.address, "address"),
        "portfolio": check_text(new.portfolio, "portfolio") if new.portfolio else None,
        "labels": list(check_labels(new.labels)),
        "settings": check_settings(info, new.settings),
        "secret": secret,
        "secret_version": 1 if secret else 0,
        "proxy_id": new.proxy_id,
        "failover": new.failover.value,
        "state": (AccountState.PARKED if new.parked else AccountState.NEW).value,
        "reason_code": "parked" if new.parked else "waiting",
        "reason": REASONS["parked" if new.parked else "waiting"].happened,
        "parked": new.parked,
    }
    if not await repository.add(tx, values):
        raise AddressTaken(place="field address")
    await outbox.append(tx, AccountCreated(account_id=account_id, connector=info.name, platform=values["platform"]))
    await repository.wake_workers(tx)
    return await get(tx, account_id)


async def edit(tx: Tx, subject: Subject, account_id: UUID, change: AccountEdit) -> Account:
    """Change an account; a running session takes up new settings and another proxy within seconds.

    Raises:
        AccountNotFound: It is not there.
        BadAccount, UnknownProxy: A value is not valid.
        ProxyFull: The proxy has as many accounts as it may.
    """
    account = await locked(tx, account_id)
    values = {name: value for name, value in _wanted(account, change).items() if value != getattr(account, name)}
    if not values:
        return account
    proxy_id = values.get("proxy_id")
    if proxy_id is not None:
        await _check_proxy(tx, proxy_id, supported=check_connector(account.connector).supports_proxy)
    columns = {**values, "labels": list(values["labels"])} if "labels" in values else values
    await repository.write(tx, account_id, {**columns, "updated_at": datetime.now(UTC)})
    await outbox.append(tx, AccountUpdated(account_id=account_id, changed=tuple(sorted(values))))
    if "proxy_id" in values:
        await outbox.append(
            tx,
            AccountProxyChanged(account_id=account_id, before=account.proxy_id, after=proxy_id, automatic=False),
        )
    await audit.record(tx, subject, "account.updated", account_id, {"changed": sorted(values)})
    if _REOPENS & values.keys():
        await reopen(tx, account)
    return await get(tx, account_id)


async def set_secret(tx: Tx, vault: Vault, subject: Subject, account_id: UUID, secret: bytes | None) -> None:
    """Replace an account's credentials, or remove them; a running session is opened anew with them.

    Raises:
        AccountNotFound: It is not there.
        BadAccount: The secret is empty or too long, or the connector needs one.
    """
    account = await locked(tx, account_id)
    if secret is None and check_connector(account.connector).needs_secret:
        raise BadAccount("This connector needs credentials.", place="field secret")
    _, version = await repository.secret(tx, account_id)
    sealed = None
    if secret is not None:
        sealed = vault.seal(check_secret(secret), tenant_id=tx.tenant, account_id=account_id, version=version + 1)
    now = datetime.now(UTC)
    await repository.write(tx, account_id, {"secret": sealed, "secret_version": version + 1, "updated_at": now})
    # What was saved under other credentials belongs to a session that is over.
    await repository.forget_sync(tx, account_id)
    await outbox.append(tx, AccountUpdated(account_id=account_id, changed=("secret",)))
    await audit.record(tx, subject, "account.secret_changed", account_id, {"removed": secret is None})
    await reopen(tx, account)


async def park(tx: Tx, subject: Subject, account_id: UUID) -> Account:
    """Still an account at the operator's will: its session is closed, its messages wait.

    Raises:
        AccountNotFound: It is not there.
        AccountStopped: It is banned or signed out.
    """
    account = await locked(tx, account_id)
    if account.state in STOPPED:
        raise AccountStopped(state=account.state.value)
    if not account.parked:
        await enter(tx, [account], AccountState.PARKED, by=By.OPERATOR, code="parked", parked=True)
        await audit.record(tx, subject, "account.parked", account_id, {})
    return await get(tx, account_id)


async def unpark(tx: Tx, subject: Subject, account_id: UUID) -> Account:
    """Let a parked account run again, whoever parked it; one that was banned or signed out meanwhile stays so.

    Raises:
        AccountNotFound: It is not there.
    """
    account = await locked(tx, account_id)
    if account.parked or account.state is AccountState.PARKED:
        await repository.write(tx, account_id, {"parked": False})
        if account.state is AccountState.PARKED:
            await enter(tx, [account], AccountState.NEW, by=By.OPERATOR, code="waiting")
        await audit.record(tx, subject, "account.unparked", account_id, {})
    return await get(tx, account_id)


async def sign_in_again(tx: Tx, subject: Subject, account_id: UUID) -> Account:
    """Try a banned or signed-out account once more.

    Raises:
        AccountNotFound: It is not there.
        NotStopped: It is neither banned nor signed out.
    """
    account = await locked(tx, account_id)
    if account.state not in STOPPED:
        raise NotStopped(state=account.state.value)
    await enter(tx, [account], AccountState.NEW, by=By.OPERATOR, code="waiting", parked=False)
    await audit.record(tx, subject, "account.signed_in_again", account_id, {"before": account.state.value})
    return await get(tx, account_id)


async def remove(tx: Tx, subject: Subject, account_id: UUID) -> None:
    """Take an account out of the pool for good: its secret and session are destroyed, its history stays.

    Raises:
        AccountNotFound: It is not there.
    """
    await locked(tx, account_id)
    now = datetime.now(UTC)
    gone = {"deleted_at": now, "updated_at": now, "secret": None, "proxy_id": None}
    await repository.write(tx, account_id, gone)
    await repository.forget_sync(tx, account_id)
    await outbox.append(tx, AccountDeleted(account_id=account_id))
    await audit.record(tx, subject, "account.deleted", account_id, {})
    await repository.wake_workers(tx)


async def config(tx: Tx, vault: Vault, account_id: UUID, *, outgoing: bool = True) -> AccountConfig:
    """All a connector needs to open the account, its secret decrypted: for the owner of its lease only.

    Args:
        tx: Inside the tenant.
        vault: Opens the secret.
        account_id: The account.
        outgoing: Connections will be made with it. What only reads a call of the platform to us says no: it needs
            no way out, so it goes on while the proxy is down, and gets none.

    Raises:
        AccountNotFound: It is not there.
        AccountError: Its proxy is down: it is parked rather than opened from the bare address.
        carillon.storage.vault.SecretUnreadable: The key does not fit.
    """
    account = await get(tx, account_id)
    proxy = None
    if account.proxy_id is not None and outgoing:
        try:
            proxy = await proxies.endpoint(tx, vault, account.proxy_id)
        except (proxies.ProxyDown, proxies.ProxyNotFound) as error:
            down = REASONS["proxy_down"]
            raise AccountError(down.happened, state=AccountState.PARKED, platform_code=down.code) from error
    sealed, version = await repository.secret(tx, account_id)
    secret = vault.open(sealed, tenant_id=tx.tenant, account_id=account_id, version=version) if sealed else None
    return AccountConfig(
        id=account.id,
        platform=Platform(account.platform),
        address=account.address,
        settings=account.settings,
        secret=secret,
        proxy=proxy,
        state=await repository.sync(tx, account_id),
    )


async def save_sync(tx: Tx, account_id: UUID, state: Mapping[str, bytes | None]) -> None:
    """Save what a connector gave with its updates."""
    await repository.save_sync(tx, account_id, state)


async def locked(tx: Tx, account_id: UUID) -> Account:
    """One account, locked until the transaction ends.

    Raises:
        AccountNotFound: It is not there.
    """
    account = await repository.find(tx, account_id, lock=True)
    if account is None:
        raise AccountNotFound
    return account


async def reopen(tx: Tx, account: Account, code: str = "reopening") -> None:
    """Close the session if there is one; the timetable lets the account go on once its owner has let go."""
    if not account.parked and account.state is not AccountState.NEW:
        await enter(tx, [account], AccountState.PARKED, by=By.PRODUCT, code=code)


def _wanted(account: Account, change: AccountEdit) -> dict[str, Any]:
    """The checked new values of what was given."""
    info = check_connector(account.connector)
    checks: dict[str, Any] = {
        "name": lambda: check_text(change.name, "name"),
        "portfolio": lambda: check_text(change.portfolio, "portfolio") if change.portfolio else None,
        "labels": lambda: check_labels(change.labels),
        "settings": lambda: check_settings(info, change.settings),
        "proxy_id": lambda: change.proxy_id,
        "failover": lambda: change.failover,
    }
    return {name: checks[name]() for name in change.given}


async def _check_proxy(tx: Tx, proxy_id: UUID, *, supported: bool) -> None:
    """Refuse a proxy that is not there, full, or of no use to the connector; it stays locked."""
    if not supported:
        raise BadAccount("This connector cannot use a proxy.", place="field proxy_id")
    try:
        proxy = await proxies.lock(tx, proxy_id)
    except proxies.ProxyNotFound as error:
        raise UnknownProxy(place="field proxy_id") from error
    if await repository.bound(tx, proxy_id) >= proxy.max_accounts:
        raise ProxyFull(place="field proxy_id", max_accounts=proxy.max_accounts)
