"""Proxies against real SOCKS5 and HTTP servers of our own: health, credentials, death, fail-over, never bare."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest
import structlog

from carillon.events.catalog.accounts import ProxyStateChanged
from carillon.events.consumer import Recorded
from carillon.gateway.app import create_app
from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.accounts.consumers import follow_proxies
from carillon.platforms.accounts.contracts import AccountEdit, Failover
from carillon.platforms.accounts.errors import BadAccount, ProxyFull, UnknownProxy
from carillon.platforms.connectors.catalog import CONNECTORS
from carillon.platforms.connectors.errors import AccountError
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.proxies import api
from carillon.platforms.proxies.errors import BadProxy, ProxyInUse, ProxyNameTaken
from carillon.platforms.proxies.manifest import manifest
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures.api import Client, FakeAuthenticator
from tests.fixtures.database import VAULT


@dataclass
class FakeProxy:
    """Speaks SOCKS5 or HTTP CONNECT, asks for credentials, and connects to whatever it is asked for."""

    scheme: str
    username: str | None = None
    password: str | None = None
    answer: bool = True
    port: int = 0
    asked: list[str] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not self.answer:
                await reader.read()
                return
            await (self._socks(reader, writer) if self.scheme == "socks5" else self._http(reader, writer))
            await writer.drain()
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        wanted = 2 if self.username else 0
        if wanted not in offered:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, wanted]))
        if wanted == 2:
            _, length = await reader.readexactly(2)
            name = await reader.readexactly(length)
            secret = await reader.readexactly((await reader.readexactly(1))[0])
            good = (name.decode(), secret.decode()) == (self.username, self.password)
            writer.write(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        _, _, _, kind = await reader.readexactly(4)
        length = 4 if kind == 1 else (await reader.readexactly(1))[0]
        host = await reader.readexactly(length)
        port = int.from_bytes(await reader.readexactly(2))
        name_or_address = ".".join(map(str, host)) if kind == 1 else host.decode()
        reached = await self._reach(name_or_address, port)
        writer.write((b"\x05\x00" if reached else b"\x05\x05") + b"\x00\x01" + bytes(6))

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        if self.username:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            if f"proxy-authorization: basic {pair}".lower() not in [line.lower() for line in lines]:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
        host, _, port = lines[0].split(" ")[1].rpartition(":")
        reached = await self._reach(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if reached else b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    async def _reach(self, host: str, port: int) -> bool:
        self.asked.append(f"{host}:{port}")
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def serving(proxy: FakeProxy) -> AsyncIterator[FakeProxy]:
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", proxy.port)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connector may be bound to a proxy here, whether it is able to use one or not."""
    able = {name: replace(info, supports_proxy=True) for name, info in CONNECTORS.items()}
    monkeypatch.setattr("carillon.platforms.accounts.checks.CONNECTORS", able)


@pytest.fixture
async def probe() -> AsyncIterator[str]:
    """What checks connect to: a server that says nothing."""

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


async def add(database: Database, tenant: UUID, fake: FakeProxy, probe: str, **values: Any) -> UUID:
    new = api.NewProxy(
        **{
            "name": f"proxy {uuid7()}",
            "scheme": api.ProxyScheme(fake.scheme),
            "host": "127.0.0.1",
            "port": fake.port,
            "username": fake.username,
            "password": fake.password,
            "probe": probe,
            **values,
        }
    )
    async with database.transaction(tenant) as tx:
        return (await api.create(tx, VAULT, system_subject(tenant), new)).id


async def checked(resources: Resources, tenant: UUID, proxy_id: UUID) -> api.Proxy:
    await api.check_one(resources, tenant, proxy_id)
    async with resources.database.transaction(tenant) as tx:
        return await api.get(tx, proxy_id)


async def add_account(database: Database, tenant: UUID, **values: Any) -> UUID:
    number = uuid7()
    new = accounts.NewAccount(connector="simulator_telegram", name=f"a {number}", address=f"@{number}", **values)
    async with database.transaction(tenant) as tx:
        account = await accounts.create(tx, VAULT, system_subject(tenant), new)
        await accounts.change_state(tx, account.id, AccountState.ONLINE, "")
        return account.id


async def announce(resources: Resources, tenant: UUID, proxy_id: UUID, state: str) -> None:
    event = ProxyStateChanged(proxy_id=proxy_id, state=state, before="healthy", reason="timeout")
    async with resources.database.transaction(tenant) as tx:
        await follow_proxies(resources, tx, [Recorded(uuid7(), tenant, event, 1, 1, SystemClock().now())])


async def account_of(database: Database, tenant: UUID, account_id: UUID) -> accounts.Account:
    async with database.transaction(tenant) as tx:
        return await accounts.get(tx, account_id)


@pytest.mark.parametrize("scheme", ["socks5", "http"])
@pytest.mark.parametrize("credentials", [(None, None), ("user", "pa ss:!")])
async def test_a_proxy_that_works_is_healthy_and_handed_out(
    worker_resources: Resources, tenant: UUID, probe: str, scheme: str, credentials: tuple[str | None, str | None]
) -> None:
    async with serving(FakeProxy(scheme, *credentials)) as fake:
        proxy_id = await add(worker_resources.database, tenant, fake, probe)
        account_id = await add_account(worker_resources.database, tenant, proxy_id=proxy_id)
        async with worker_resources.database.transaction(tenant) as tx:
            with pytest.raises(AccountError):  # not checked yet
                await accounts.config(tx, VAULT, account_id)
        proxy = await checked(worker_resources, tenant, proxy_id)
        assert fake.asked == [probe]
    assert (proxy.state, proxy.reason, proxy.failures) == (api.ProxyState.HEALTHY, "", 0)
    assert proxy.latency_ms is not None
    async with worker_resources.database.transaction(tenant) as tx:
        config = await accounts.config(tx, VAULT, account_id)
    assert config.proxy is not None
    assert (config.proxy.scheme, config.proxy.host, config.proxy.port) == (scheme, "127.0.0.1", fake.port)
    assert (config.proxy.username, config.proxy.password) == credentials
    assert "pa ss" not in repr(config)


@pytest.mark.parametrize("scheme", ["socks5", "http"])
@pytest.mark.parametrize("given", [("user", "wrong"), (None, None)])
async def test_refused_credentials_are_down_at_once(
    worker_resources: Resources, tenant: UUID, probe: str, scheme: str, given: tuple[str | None, str | None]
) -> None:
    async with serving(FakeProxy(scheme, "user", "right")) as fake:
        username, password = given
        proxy_id = await add(worker_resources.database, tenant, fake, probe, username=username, password=password)
        proxy = await checked(worker_resources, tenant, proxy_id)
        assert fake.asked == []
    assert (proxy.state, proxy.reason) == (api.ProxyState.DOWN, "refused_credentials")


@pytest.mark.parametrize("scheme", ["socks5", "http"])
async def test_a_probe_out_of_reach_is_told_apart(
    worker_resources: Resources, tenant: UUID, scheme: str, unused_port: int
) -> None:
    async with serving(FakeProxy(scheme)) as fake:
        proxy_id = await add(worker_resources.database, tenant, fake, f"127.0.0.1:{unused_port}")
        assert (await checked(worker_resources, tenant, proxy_id)).reason == "probe_unreachable"


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_a_dying_proxy_is_degraded_then_down_and_comes_back(
    worker_resources: Resources, tenant: UUID, probe: str
) -> None:
    fake = FakeProxy("socks5")
    async with serving(fake):
        proxy_id = await add(worker_resources.database, tenant, fake, probe)
        await checked(worker_resources, tenant, proxy_id)
    states = [(await checked(worker_resources, tenant, proxy_id)).state.value for _ in range(3)]
    assert states == ["degraded", "degraded", "down"]
    async with serving(fake):
        back = await checked(worker_resources, tenant, proxy_id)
    assert (back.state, back.failures) == (api.ProxyState.HEALTHY, 0)


async def test_a_private_address_is_never_asked(worker_resources: Resources, tenant: UUID, probe: str) -> None:
    async with serving(FakeProxy("socks5")) as fake:
        proxy_id = await add(worker_resources.database, tenant, fake, probe, host="localhost")
        closed = Resources(
            worker_resources.settings.model_copy(update={"allow_networks": ()}),
            worker_resources.database,
            VAULT,
            worker_resources.blobs,
            worker_resources.clock,
        )
        proxy = await checked(closed, tenant, proxy_id)
        assert fake.asked == []
    assert (proxy.state, proxy.reason) == (api.ProxyState.DOWN, "forbidden_address")


async def test_without_an_alternative_an_account_is_parked_and_never_goes_bare(
    worker_resources: Resources, tenant: UUID, probe: str
) -> None:
    database = worker_resources.database
    fake = FakeProxy("http")
    async with serving(fake):
        proxy_id = await add(database, tenant, fake, probe)
        await checked(worker_resources, tenant, proxy_id)
        account_id = await add_account(database, tenant, proxy_id=proxy_id, failover=Failover.POOL)
    for _ in range(3):
        await checked(worker_resources, tenant, proxy_id)
    await announce(worker_resources, tenant, proxy_id, "down")
    parked = await account_of(database, tenant, account_id)
    assert (parked.state, parked.reason_code, parked.parked) == (AccountState.PARKED, "proxy_down", False)
    assert parked.proxy_id == proxy_id
    async with database.transaction(tenant) as tx:
        with pytest.raises(AccountError) as refused:
            await accounts.config(tx, VAULT, account_id)
        assert refused.value.state is AccountState.PARKED
        assert (await accounts.config(tx, VAULT, account_id, outgoing=False)).proxy is None
    await accounts.tick(worker_resources)
    assert (await account_of(database, tenant, account_id)).state is AccountState.PARKED
    async with serving(fake):
        await checked(worker_resources, tenant, proxy_id)
    await accounts.tick(worker_resources)
    assert (await account_of(database, tenant, account_id)).state is AccountState.NEW


async def test_the_refusal_of_a_worker_is_resumed_like_ours(
    worker_resources: Resources, tenant: UUID, probe: str
) -> None:
    """A worker that was refused writes our text; its code is found by it."""
    database = worker_resources.database
    fake = FakeProxy("socks5")
    async with serving(fake):
        proxy_id = await add(database, tenant, fake, probe)
        account_id = await add_account(database, tenant, proxy_id=proxy_id)
        async with database.transaction(tenant) as tx:
            with pytest.raises(AccountError) as refused:
                await accounts.config(tx, VAULT, account_id)
            await accounts.change_state(tx, account_id, refused.value.state, refused.value.message)
        assert (await account_of(database, tenant, account_id)).reason_code == "proxy_down"
        await checked(worker_resources, tenant, proxy_id)
    await accounts.tick(worker_resources)
    assert (await account_of(database, tenant, account_id)).state is AccountState.NEW


@pytest.mark.parametrize(
    ("policy", "region", "moves"),
    [
        (Failover.NONE, "eu", False),
        (Failover.SAME_REGION, "eu", True),
        (Failover.SAME_REGION, "us", False),
        (Failover.POOL, "us", True),
    ],
)
async def test_failover_obeys_the_account_and_the_room(
    worker_resources: Resources, tenant: UUID, probe: str, policy: Failover, region: str, moves: bool
) -> None:
    database = worker_resources.database
    async with serving(FakeProxy("socks5")) as one, serving(FakeProxy("socks5")) as two:
        first = await add(database, tenant, one, probe, region="eu")
        other = await add(database, tenant, two, probe, region=region, max_accounts=1)
        for proxy_id in (first, other):
            await checked(worker_resources, tenant, proxy_id)
        chosen = [await add_account(database, tenant, proxy_id=first, failover=policy) for _ in range(2)]
    await announce(worker_resources, tenant, first, "down")
    after = [await account_of(database, tenant, account_id) for account_id in chosen]
    assert {one.state for one in after} == {AccountState.PARKED}
    assert sorted(one.reason_code for one in after) == (
        ["proxy_changed", "proxy_down"] if moves else ["proxy_down", "proxy_down"]
    )
    assert [one.proxy_id for one in after].count(other) == (1 if moves else 0)


async def test_a_proxy_takes_no_more_accounts_than_it_may(app_database: Database, tenant: UUID, probe: str) -> None:
    proxy_id = await add(app_database, tenant, FakeProxy("socks5", port=9), probe, max_accounts=2)
    ids = [await add_account(app_database, tenant, proxy_id=proxy_id) for _ in range(2)]
    with pytest.raises(ProxyFull):
        await add_account(app_database, tenant, proxy_id=proxy_id)
    free = await add_account(app_database, tenant)
    async with app_database.transaction(tenant) as tx:
        edit = AccountEdit(frozenset({"proxy_id"}), proxy_id=proxy_id)
        with pytest.raises(ProxyFull):
            await accounts.edit(tx, system_subject(tenant), free, edit)
        with pytest.raises(ProxyInUse):
            await api.remove(tx, system_subject(tenant), proxy_id)
        for account_id in ids:
            await accounts.remove(tx, system_subject(tenant), account_id)
        await api.remove(tx, system_subject(tenant), proxy_id)


async def test_a_proxy_of_another_tenant_is_unknown(
    app_database: Database, tenant: UUID, other_tenant: UUID, probe: str
) -> None:
    theirs = await add(app_database, other_tenant, FakeProxy("socks5", port=9), probe)
    for proxy_id in (theirs, uuid7()):
        with pytest.raises(UnknownProxy):
            await add_account(app_database, tenant, proxy_id=proxy_id)


async def test_a_connector_that_ignores_proxies_cannot_be_bound(
    app_database: Database, tenant: UUID, probe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unable = {name: replace(info, supports_proxy=False) for name, info in CONNECTORS.items()}
    monkeypatch.setattr("carillon.platforms.accounts.checks.CONNECTORS", unable)
    proxy_id = await add(app_database, tenant, FakeProxy("socks5", port=9), probe)
    with pytest.raises(BadAccount, match="cannot use a proxy"):
        await add_account(app_database, tenant, proxy_id=proxy_id)
    account_id = await add_account(app_database, tenant)
    async with app_database.transaction(tenant) as tx:
        edit = AccountEdit(frozenset({"proxy_id"}), proxy_id=proxy_id)
        with pytest.raises(BadAccount, match="cannot use a proxy"):
            await accounts.edit(tx, system_subject(tenant), account_id, edit)


async def test_two_binders_at_once_do_not_overfill_it(app_database: Database, tenant: UUID, probe: str) -> None:
    proxy_id = await add(app_database, tenant, FakeProxy("socks5", port=9), probe, max_accounts=1)
    tries = [add_account(app_database, tenant, proxy_id=proxy_id) for _ in range(4)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ProxyFull"] * 3 + ["UUID"]


async def test_a_changed_proxy_must_be_checked_anew(worker_resources: Resources, tenant: UUID, probe: str) -> None:
    database = worker_resources.database
    async with serving(FakeProxy("socks5")) as fake:
        proxy_id = await add(database, tenant, fake, probe)
        await checked(worker_resources, tenant, proxy_id)
        async with database.transaction(tenant) as tx:
            assert await api.usable(tx, proxy_id)
            edit = api.ProxyEdit(frozenset({"port"}), port=fake.port + 1)
            after = await api.edit(tx, VAULT, system_subject(tenant), proxy_id, edit)
            assert after.state is api.ProxyState.NEW
            assert not await api.usable(tx, proxy_id)
            off = api.ProxyEdit(frozenset({"enabled"}), enabled=False)
            assert (await api.edit(tx, VAULT, system_subject(tenant), proxy_id, off)).state is api.ProxyState.DOWN


async def test_http_never_shows_the_password_and_keeps_tenants_apart(
    app_resources: Resources, tenant: UUID, other_tenant: UUID, probe: str
) -> None:
    authenticator = FakeAuthenticator()
    anyone = Client(create_app([manifest], app_resources, authenticator))
    client = anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}")
    stranger = anyone.having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    body = {"name": "one", "scheme": "socks5", "host": "Example.COM.", "port": 1080, "username": "u", "region": "eu"}
    answer = await client.post("/api/v1/proxies", json={**body, "password": "hunter2", "labels": ["a", "a"]})
    assert answer.status == 201, answer.body
    made = answer.json()
    assert (made["host"], made["has_password"], made["labels"], made["state"]) == ("example.com", True, ["a"], "new")
    path = f"/api/v1/proxies/{made['id']}"
    seen = [answer, await client.get(path), await client.get("/api/v1/proxies", query={"query": "EXAMPLE"})]
    assert all(b"hunter2" not in one.body for one in seen)
    assert (await client.post(f"{path}/check")).status == 202
    assert (await client.get("/api/v1/proxies/counts", query={"region": "eu"})).json() == {
        "total": 1,
        "states": {"new": 1},
    }
    refused = await client.post("/api/v1/proxies", json=body)
    assert (refused.status, refused.code) == (409, ProxyNameTaken.code)
    bad = await client.post("/api/v1/proxies", json={**body, "name": "x", "host": "http://a b"})
    assert (bad.code, bad.json()["place"]) == (BadProxy.code, "field host")
    assert (await client.request("PATCH", path, json={"username": None})).code == "bad_proxy"
    patched = (await client.request("PATCH", path, json={"username": None, "password": None})).json()
    assert (patched["username"], patched["has_password"]) == (None, False)
    strange = [
        await stranger.get(path),
        await stranger.request("PATCH", path, json={"name": "y"}),
        await stranger.request("DELETE", path),
        await stranger.post(f"{path}/check"),
    ]
    assert {one.status for one in strange} == {404}
    assert (await stranger.get("/api/v1/proxies")).json()["items"] == []
    assert (await client.request("DELETE", path)).status == 204


async def test_everything_is_checked_in_one_round(
    worker_resources: Resources, tenant: UUID, other_tenant: UUID, probe: str
) -> None:
    async with serving(FakeProxy("socks5")) as fake:
        mine = await add(worker_resources.database, tenant, fake, probe)
        theirs = await add(worker_resources.database, other_tenant, fake, probe)
        await api.check_all(worker_resources)
    for owner, proxy_id in ((tenant, mine), (other_tenant, theirs)):
        async with worker_resources.database.transaction(owner) as tx:
            assert (await api.get(tx, proxy_id)).state is api.ProxyState.HEALTHY
