"""An account bound to a proxy: every byte goes through it, none past it when it is dead, and it stands in public."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.errors import AccountError, NotSent
from carillon.platforms.connectors.port import AccountConfig, Outbound, Platform, ProxyEndpoint
from tests.conformance.connectors.harness import SECRET, Sink, unused_port
from tests.conformance.connectors.http_channel import TinyServer, listening, reply
from tests.fakes.relay import Relay
from tests.unit.platforms.connectors.test_custom_http import certificate

MESSAGE = Outbound(id=uuid7(), key=1, peer="p", text="hi")


async def resolve(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


GUARD = NetGuard(["127.0.0.0/8"], resolve=resolve)


def account(url: str, proxy: ProxyEndpoint) -> AccountConfig:
    return AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings={"url": url}, secret=SECRET, proxy=proxy)


@pytest.mark.parametrize("scheme", ["socks5", "http"])
@pytest.mark.parametrize("tls", [False, True])
async def test_every_byte_goes_through_the_proxy_and_none_past_it(tmp_path: Path, scheme: str, *, tls: bool) -> None:
    context, pem = certificate(tmp_path)
    server, relay = TinyServer(lambda headers, body: reply(200, b'{"id": "a"}')), Relay(scheme)
    await relay.start()
    async with listening(server, context if tls else None) as port:
        url = f"{'https' if tls else 'http'}://hooks.example:{port}/"
        config = account(url, ProxyEndpoint(scheme, "proxy.example", relay.port))
        session = await CustomHttpConnector(GUARD, root_certificates=pem).open(config, Sink())
        assert (await session.send(MESSAGE)).platform_id == "a"
        assert (await session.send(MESSAGE)).platform_id == "a"
        assert (relay.targets, server.connections) == ([port], 1)
        await session.close()
        await relay.die()


@pytest.mark.parametrize("scheme", ["socks5", "http"])
async def test_a_dead_proxy_means_not_sent_and_no_connection_of_our_own(scheme: str) -> None:
    server = TinyServer(lambda headers, body: reply(200, b'{"id": "a"}'))
    async with listening(server) as port:
        config = account(f"http://127.0.0.1:{port}/", ProxyEndpoint(scheme, "127.0.0.1", await unused_port()))
        session = await CustomHttpConnector(GUARD).open(config, Sink())
        for _ in range(3):
            with pytest.raises(NotSent):
                await session.send(MESSAGE)
        assert server.connections == 0
        await session.close()


@pytest.mark.parametrize("scheme", ["socks5", "http"])
async def test_what_is_no_proxy_means_not_sent(scheme: str) -> None:
    server = TinyServer(lambda headers, body: reply(200, b'{"id": "a"}'))
    false_proxy = TinyServer(lambda headers, body: None)
    async with listening(server) as port, listening(false_proxy) as elsewhere:
        config = account(f"http://127.0.0.1:{port}/", ProxyEndpoint(scheme, "127.0.0.1", elsewhere))
        session = await CustomHttpConnector(GUARD, connect_seconds=0.3).open(config, Sink())
        with pytest.raises(NotSent):
            await session.send(MESSAGE)
        assert server.connections == 0
        await session.close()


async def test_a_proxy_in_a_private_network_parks_the_account() -> None:
    guard = NetGuard(resolve=resolve)
    config = account("https://8.8.8.8/", ProxyEndpoint("socks5", "proxy.example", 1080))
    session = await CustomHttpConnector(guard).open(config, Sink())
    with pytest.raises(AccountError) as caught:
        await session.send(MESSAGE)
    assert caught.value.state == "parked"
    await session.close()


async def test_a_proxy_of_an_unknown_kind_parks_the_account() -> None:
    config = account("https://8.8.8.8/", ProxyEndpoint("mtproto", "127.0.0.1", 1))
    with pytest.raises(AccountError) as caught:
        await CustomHttpConnector(GUARD).open(config, Sink())
    assert caught.value.state == "parked"
