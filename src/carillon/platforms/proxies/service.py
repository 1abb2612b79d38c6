"""The proxy pool: adding, changing and removing proxies, and handing them to accounts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.events import outbox
from carillon.events.catalog.accounts import ProxyStateChanged
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.platforms.connectors.port import ProxyEndpoint
from carillon.storage import jobs
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .checks import check_credential, check_host, check_labels, check_port, check_probe, check_text
from .contracts import USABLE, NewProxy, Proxy, ProxyEdit, ProxyFilter, ProxyState
from .errors import BadProxy, ProxyDown, ProxyInUse, ProxyNameTaken, ProxyNotFound

MOST_ACCOUNTS = 10_000
_MOVES = frozenset({"host", "port", "username", "password", "probe", "enabled"})
"""Changes after which nothing is known of the proxy any more."""


async def get(tx: Tx, proxy_id: UUID) -> Proxy:
    """One proxy.

    Raises:
        ProxyNotFound: It is not there, or not this tenant's.
    """
    return _present(await repository.find(tx, proxy_id))


async def lock(tx: Tx, proxy_id: UUID) -> Proxy:
    """One proxy, locked until the transaction ends: whoever binds accounts counts under this lock.

    Raises:
        ProxyNotFound: It is not there.
    """
    return _present(await repository.find(tx, proxy_id, lock=True))


async def list_proxies(tx: Tx, wanted: ProxyFilter, page: PageRequest) -> Page[Proxy]:
    """Proxies with their bound accounts, newest first."""
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    found = await repository.page_of(tx, wanted, before=before, limit=page.limit + 1)
    items = found[: page.limit]
    return Page(items, encode_cursor(str(items[-1].id)) if len(found) > page.limit else None)


async def count(tx: Tx, wanted: ProxyFilter) -> Mapping[ProxyState, int]:
    """How many proxies there are in each state."""
    return await repository.counts(tx, wanted)


async def create(tx: Tx, vault: Vault, subject: Subject, new: NewProxy) -> Proxy:
    """Add a proxy; it is checked at once and may be used as soon as a check went well.

    Raises:
        BadProxy: A value is not valid; `place` says which.
        ProxyNameTaken: Another one has the name.
    """
    proxy_id = uuid7()
    _check_pair(new.username, has_password=new.password is not None)
    values: dict[str, Any] = {
        "id": proxy_id,
        "name": check_text(new.name, "name"),
        "scheme": new.scheme.value,
        "host": check_host(new.host),
        "port": check_port(new.port),
        "username": check_credential(new.username, "username") if new.username else None,
        "probe": check_probe(new.probe),
        "region": check_text(new.region, "region") if new.region else None,
        "labels": check_labels(new.labels),
        "max_accounts": _check_most(new.max_accounts),
        "state": ProxyState.NEW.value,
        **_sealed(tx, vault, proxy_id, new.password, 0),
    }
    if not await repository.add(tx, values):
        raise ProxyNameTaken(place="field name")
    await audit.record(tx, subject, "proxy.created", proxy_id, {"scheme": new.scheme.value})
    await request_check(tx, proxy_id)
    return await get(tx, proxy_id)


async def edit(tx: Tx, vault: Vault, subject: Subject, proxy_id: UUID, change: ProxyEdit) -> Proxy:
    """Change a proxy; with another address or credentials it must be checked anew before it is used again.

    Raises:
        ProxyNotFound: It is not there.
        BadProxy: A value is not valid.
        ProxyNameTaken: Another one has the name.
    """
    before = await lock(tx, proxy_id)
    sealed = await repository.find_sealed(tx, proxy_id)
    version = sealed["password_version"] if sealed else 0
    values = _wanted(change)
    if "password" in change.given:
        values |= _sealed(tx, vault, proxy_id, change.password, version)
    _check_pair(values.get("username", before.username), has_password=_will_have_password(before, change))
    if "name" in values and await repository.name_taken(tx, values["name"], by_other_than=proxy_id):
        raise ProxyNameTaken(place="field name")
    if not values:
        return before
    changed = sorted(change.given)
    if _moved(before, values) or "password" in change.given:
        values |= {"address": None, "failures": 0, "latency_ms": None}
        await announce(tx, before, _state_after(before, values), values)
        await request_check(tx, proxy_id)
    await repository.write(tx, proxy_id, {**values, "updated_at": datetime.now(UTC)})
    await audit.record(tx, subject, "proxy.updated", proxy_id, {"changed": changed})
    return await get(tx, proxy_id)


async def remove(tx: Tx, subject: Subject, proxy_id: UUID) -> None:
    """Delete a proxy that no account is bound to.

    Raises:
        ProxyNotFound: It is not there.
        ProxyInUse: Accounts are bound to it.
    """
    proxy = await lock(tx, proxy_id)
    if proxy.accounts:
        raise ProxyInUse(accounts=proxy.accounts)
    await repository.remove(tx, proxy_id)
    await audit.record(tx, subject, "proxy.deleted", proxy_id, {})


async def request_check(tx: Tx, proxy_id: UUID) -> None:
    """Have the proxy checked as soon as this commits."""
    await jobs.enqueue(tx, "proxy.check", {"proxy_id": str(proxy_id)}, dedupe_key=str(proxy_id))


async def endpoint(tx: Tx, vault: Vault, proxy_id: UUID) -> ProxyEndpoint:
    """Where an account's bytes leave from, the password decrypted: for the owner of the account's lease only.

    The host is the very address the last check found permitted, so that a name cannot lead elsewhere since.

    Raises:
        ProxyNotFound: It is not there.
        ProxyDown: It is not usable; there is no other way out.
    """
    row = await repository.find_sealed(tx, proxy_id)
    if row is None:
        raise ProxyNotFound
    if not row["enabled"] or ProxyState(row["state"]) not in USABLE or row["address"] is None:
        raise ProxyDown(state=row["state"], reason=row["reason"])
    return ProxyEndpoint(
        scheme=row["scheme"],
        host=row["address"],
        port=row["port"],
        username=row["username"],
        password=password_of(vault, tx.tenant, row),
    )


async def usable(tx: Tx, proxy_id: UUID) -> bool:
    """Whether `endpoint` would hand it out."""
    row = await repository.find_sealed(tx, proxy_id)
    return (
        row is not None and bool(row["enabled"]) and ProxyState(row["state"]) in USABLE and row["address"] is not None
    )


async def take_alternative(tx: Tx, proxy_id: UUID, *, same_region: bool) -> Proxy | None:
    """Another healthy proxy with room for one more account, locked; None if there is none.

    Args:
        tx: Inside the tenant; the caller binds the account in it.
        proxy_id: The one that is down.
        same_region: Only of its region; without a region it has no alternative.
    """
    region = None
    if same_region:
        gone = await repository.find(tx, proxy_id)
        if gone is None or gone.region is None:
            return None
        region = gone.region
    for candidate in await repository.free(tx, not_this=proxy_id, region=region):
        proxy = await repository.find(tx, candidate, lock=True)
        if proxy is None or proxy.state is not ProxyState.HEALTHY or not proxy.enabled:
            continue
        # Counted again under the lock: others may have bound accounts meanwhile.
        fresh = await repository.find(tx, candidate)
        if fresh is not None and fresh.accounts < fresh.max_accounts:
            return fresh
    return None


def password_of(vault: Vault, tenant_id: UUID, row: RowMapping) -> str | None:
    """The decrypted password of a row, if it has one."""
    if row["password"] is None:
        return None
    opened = vault.open(row["password"], tenant_id=tenant_id, account_id=row["id"], version=row["password_version"])
    return opened.decode()


async def announce(tx: Tx, before: Proxy, after: ProxyState, values: dict[str, Any]) -> None:
    """Put the new state into `values` and append the event if it is another one than before."""
    values["state"] = after.value
    values.setdefault("reason", "")
    if after is not before.state:
        await outbox.append(
            tx,
            ProxyStateChanged(
                proxy_id=before.id, state=after.value, before=before.state.value, reason=values["reason"]
            ),
        )


def _present(proxy: Proxy | None) -> Proxy:
    if proxy is None:
        raise ProxyNotFound
    return proxy


def _wanted(change: ProxyEdit) -> dict[str, Any]:
    """The checked values of what was given, but for the password."""
    checks: dict[str, Any] = {
        "name": lambda: check_text(change.name, "name"),
        "host": lambda: check_host(change.host),
        "port": lambda: check_port(change.port),
        "username": lambda: check_credential(change.username, "username") if change.username else None,
        "probe": lambda: check_probe(change.probe),
        "region": lambda: check_text(change.region, "region") if change.region else None,
        "labels": lambda: check_labels(change.labels),
        "max_accounts": lambda: _check_most(change.max_accounts),
        "enabled": lambda: change.enabled,
    }
    return {name: check() for name, check in checks.items() if name in change.given}


def _moved(before: Proxy, values: Mapping[str, Any]) -> bool:
    return any(values[name] != getattr(before, name) for name in _MOVES & values.keys() - {"password"})


def _state_after(before: Proxy, values: dict[str, Any]) -> ProxyState:
    """A proxy that was switched off is down; one that moved is as good as new."""
    if not values.get("enabled", before.enabled):
        values["reason"] = "switched_off"
        return ProxyState.DOWN
    return ProxyState.NEW


def _will_have_password(before: Proxy, change: ProxyEdit) -> bool:
    return change.password is not None if "password" in change.given else before.has_password


def _sealed(tx: Tx, vault: Vault, proxy_id: UUID, password: str | None, version: int) -> dict[str, Any]:
    if password is None:
        return {"password": None, "password_version": version}
    checked = check_credential(password, "password").encode()
    sealed = vault.seal(checked, tenant_id=tx.tenant, account_id=proxy_id, version=version + 1)
    return {"password": sealed, "password_version": version + 1}


def _check_pair(username: str | None, *, has_password: bool) -> None:
    if has_password and not username:
        raise BadProxy("A password needs a user name.", place="field username")


def _check_most(count: int) -> int:
    if not 1 <= count <= MOST_ACCOUNTS:
        raise BadProxy(f"A proxy serves 1 to {MOST_ACCOUNTS} accounts.", place="field max_accounts")
    return count
