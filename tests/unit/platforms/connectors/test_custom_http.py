"""The tenant's own channel: pinning, outcomes, signatures, webhooks."""

import asyncio
import gzip
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.custom_http.answer import Answer
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.inbound import parse
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.custom_http.outcomes import accepted
from carillon.platforms.connectors.custom_http.signature import is_signed, signature
from carillon.platforms.connectors.errors import (
    AccountError,
    BadWebhook,
    Flooded,
    NotSent,
    Rejected,
    SendError,
    Uncertain,
)
from carillon.platforms.connectors.port import (
    AccountConfig,
    Blocked,
    InboundMessage,
    Outbound,
    Platform,
    StatusUpdate,
)
from tests.conformance.connectors.harness import SECRET, Sink
from tests.conformance.connectors.http_channel import TinyServer, listening, reply

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MESSAGE = Outbound(id=UUID(int=7), key=-(2**63), peer="+4912", text="hi", reply_to="m0")


class MovableClock(SystemClock):
    """Boot time that a test moves."""

    moved = 0.0

    def boottime(self) -> float:
        return super().boottime() + self.moved


def account(url: str) -> AccountConfig:
    return AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings={"url": url}, secret=SECRET)


async def send_once(connector: CustomHttpConnector, url: str) -> SendError | str:
    session = await connector.open(account(url), Sink())
    try:
        return (await session.send(MESSAGE)).platform_id
    except SendError as error:
        return error
    finally:
        await session.close()


async def test_the_request_is_as_documented() -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    def answer(headers: dict[str, str], body: bytes) -> bytes:
        seen.append((headers, body))
        return reply(201, b'{"id": 12, "more": 1}')

    server = TinyServer(answer)
    async with listening(server) as port:
        connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"]))
        assert await send_once(connector, f"http://127.0.0.1:{port}/in?a=1") == "12"
    headers, body = seen[0]
    assert server.heads[0].startswith(b"POST /in?a=1 HTTP/1.1\r\n")
    assert headers["idempotency-key"] == str(MESSAGE.id)
    assert headers["content-type"] == "application/json"
    assert is_signed(SECRET, headers, body, now=datetime.now(UTC))
    expected = {"id": str(MESSAGE.id), "key": str(-(2**63)), "peer": "+4912", "text": "hi", "reply_to": "m0"}
    assert orjson.loads(body) == expected


async def test_the_name_is_looked_up_once_and_the_connection_goes_to_what_was_judged() -> None:
    lookups: list[str] = []
    answers = [["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"]]

    async def resolve(host: str, port: int) -> Sequence[str]:
        lookups.append(host)
        return answers[len(lookups) - 1]

    clock = MovableClock()
    server = TinyServer(lambda headers, body: reply(200, b'{"id": "a"}'))
    connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"], resolve=resolve), clock=clock)
    async with listening(server) as port:
        session = await connector.open(account(f"http://hooks.example:{port}/"), Sink())
        await asyncio.gather(*(session.send(MESSAGE) for _ in range(5)))
        assert lookups == ["hooks.example"]
        assert f"Host: hooks.example:{port}\r\n".encode() in server.heads[0]
        clock.moved = 61
        await session.send(MESSAGE)
        before = len(server.heads)
        # The third lookup leads into a private network: rebinding is noticed, nothing is sent.
        clock.moved = 122
        with pytest.raises(AccountError) as caught:
            await session.send(MESSAGE)
        assert (caught.value.state, len(server.heads), len(lookups)) == ("parked", before, 3)
        await session.close()


async def test_a_dead_address_is_followed_by_the_next_one() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    server = TinyServer(lambda headers, body: reply(200, b'{"id": "a"}'))
    connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"], resolve=resolve))
    async with listening(server) as port:
        session = await connector.open(account(f"http://hooks.example:{port}/"), Sink())
        with pytest.raises(NotSent):
            await session.send(MESSAGE)
        assert (await session.send(MESSAGE)).platform_id == "a"
        await session.close()


async def test_an_unknown_name_means_not_sent() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    outcome = await send_once(CustomHttpConnector(NetGuard(resolve=resolve)), "https://hooks.example/")
    assert type(outcome) is NotSent


def certificate(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """A server's TLS context for hooks.example and the PEM to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    start = datetime.now(UTC) - timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(start).not_valid_after(start + timedelta(days=2))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(pem + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, pem


async def test_tls_is_spoken_with_the_name_though_the_address_is_pinned(tmp_path: Path) -> None:
    context, pem = certificate(tmp_path)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    guard = NetGuard(["127.0.0.0/8"], resolve=resolve)
    server = TinyServer(lambda headers, body: reply(200, b'{"id": "tls"}'))
    async with listening(server, context) as port:
        trusting = CustomHttpConnector(guard, root_certificates=pem)
        assert await send_once(trusting, f"https://hooks.example:{port}/") == "tls"
        assert names == ["hooks.example"]
        assert type(await send_once(trusting, f"https://other.example:{port}/")) is NotSent
        assert type(await send_once(CustomHttpConnector(guard), f"https://hooks.example:{port}/")) is NotSent


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (None, Uncertain),
        (b"nonsense\r\n\r\n", Uncertain),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Uncertain),
        (reply(200, b'{"id": "' + b"x" * 70_000 + b'"}'), Uncertain),
        (reply(200, b'{"id": "\\u0000"}'), Uncertain),
        (reply(200, b"ok"), Uncertain),
        (reply(204), Uncertain),
        (reply(500), Uncertain),
        (reply(503), Uncertain),
        (reply(408), Uncertain),
        (reply(503, b"", "Retry-After: 5"), Flooded),
        (reply(429), Flooded),
        (b"HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: \xe9\xff\r\n\r\n", Flooded),
        (reply(200, b"not gzip", "Content-Encoding: gzip"), Uncertain),
        (reply(200, gzip.compress(b" " * 9_000_000), "Content-Encoding: gzip"), Uncertain),
        (reply(200, b"[" * 60_000), Uncertain),
        (reply(400, b"[" * 60_000), Rejected),
        (reply(400), Rejected),
        (reply(404, b"x" * 70_000), Rejected),
    ],
)
async def test_what_the_server_does_and_what_it_means(raw: bytes | None, kind: type[SendError]) -> None:
    sent: list[bytes] = []

    def answer(headers: dict[str, str], body: bytes) -> bytes | None:
        sent.append(body)
        # Cut the connection after an answer that is not whole.
        asyncio.get_running_loop().call_soon(server.abort) if raw and b"100\r\n\r\n{" in raw else None
        return raw

    server = TinyServer(answer)
    async with listening(server) as port:
        connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"]), answer_seconds=5)
        outcome = await send_once(connector, f"http://127.0.0.1:{port}/")
    assert type(outcome) is kind
    assert len(sent) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(status: int) -> None:
    trap = TinyServer(lambda headers, body: reply(200, b'{"id": "trapped"}'))
    async with listening(trap) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere}/"
        server = TinyServer(lambda headers, body: reply(status, b"", location))
        async with listening(server) as port:
            connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"]))
            assert type(await send_once(connector, f"http://127.0.0.1:{port}/")) is Rejected
    assert (trap.connections, len(server.heads)) == (0, 1)


async def test_silence_after_the_request_means_uncertain() -> None:
    server = TinyServer(lambda headers, body: b"")
    async with listening(server) as port:
        connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"]), answer_seconds=0.1)
        assert type(await send_once(connector, f"http://127.0.0.1:{port}/")) is Uncertain


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server = TinyServer(lambda headers, body: reply(200, b'{"id": "a"}'))
    async with listening(server) as port:
        assert await send_once(CustomHttpConnector(NetGuard(["127.0.0.0/8"])), f"http://127.0.0.1:{port}/") == "a"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5),
        ("0", 1),
        ("-3", 1),
        ("1e99", 86_400),
        ("nan", 10),
        ("inf", 10),
        ("soon", 10),
        (None, 10),
        ("Sun, 01 Nov 2026 12:01:00 GMT", 60),
        ("Sun, 01 Nov 2026 12:01:00 -0000", 60),
    ],
)
def test_how_long_retry_after_means(header: str | None, seconds: float) -> None:
    with pytest.raises(Flooded) as caught:
        accepted(Answer(429, header, b""), now=NOW)
    assert caught.value.retry_after == seconds


def test_a_refusal_in_our_form_says_more() -> None:
    body = b'{"error": {"class": "blocked", "code": "B1", "text": "Stopped us.", "opt_out": true}}'
    with pytest.raises(Rejected) as caught:
        accepted(Answer(403, None, body), now=NOW)
    error = caught.value
    shown = (error.failure, error.platform_code, error.message, error.opt_out)
    assert shown == ("blocked", "B1", "Stopped us.", True)


@given(st.binary(), st.binary(), st.integers(-400, 400))
def test_a_signature_holds_for_five_minutes(secret: bytes, body: bytes, seconds: int) -> None:
    headers = {"carillon-SIGNATURE": signature(secret, NOW, body)}
    signed = is_signed(secret, headers, body, now=NOW + timedelta(seconds=seconds))
    assert signed == (abs(seconds) <= 300)
    assert not is_signed(secret + b"x", headers, body, now=NOW)
    assert not is_signed(secret, headers, body + b"x", now=NOW)


@pytest.mark.parametrize(
    "value",
    ["", "t=1", "v1=00", "t=x,v1=00", "t=²,v1=00", "t=1,t=2,v1=00", "t=" + "9" * 5000 + ",v1=00", "t=1,v1=é"],
)
def test_a_malformed_signature_is_none(value: str) -> None:
    assert not is_signed(b"s", {"Carillon-Signature": value}, b"", now=NOW)


def test_any_of_several_signatures_will_do() -> None:
    value = signature(b"new", NOW, b"x") + "," + signature(b"old", NOW, b"x").partition(",")[2]
    assert is_signed(b"old", {"Carillon-Signature": value}, b"x", now=NOW)


def test_updates_of_every_kind() -> None:
    at = "2026-11-01T12:00:00Z"
    body = {
        "updates": [
            {"type": "message", "id": "m1", "chat": "c", "text": "退订", "at": at, "reply_to": "m0"},
            {"type": "status", "status": "read", "message_id": str(UUID(int=7)), "at": at},
            {"type": "blocked", "peer": "p", "at": at},
        ]
    }
    message, status, blocked = parse(orjson.dumps(body))
    assert isinstance(message, InboundMessage)
    assert (message.chat, message.sender, message.platform_id, message.text) == ("c", "c", "m1", "退订")
    assert message.at == NOW
    assert isinstance(status, StatusUpdate)
    assert (status.status, status.message_id) == ("read", UUID(int=7))
    assert blocked == Blocked(peer="p", at=NOW)


GOOD = {"type": "message", "id": "m1", "chat": "c", "text": "x", "at": "2026-11-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"text": "a\0b"}, "updates.1.message.text"),
        ({"id": ""}, "updates.1.message.id"),
        ({"id": 5}, "updates.1.message.id"),
        ({"at": "2026-11-01T12:00:00"}, "updates.1.message.at"),
        ({"more": 1}, "updates.1.message.more"),
        ({"type": "other"}, "updates.1"),
        ({"type": "status"}, "updates.1.status.status"),
    ],
)
def test_a_bad_update_is_named(change: dict[str, object], place: str) -> None:
    with pytest.raises(BadWebhook) as caught:
        parse(orjson.dumps({"updates": [GOOD, {**GOOD, **change}]}))
    assert caught.value.place == place


def test_what_stands_beside_a_bad_update_is_understood() -> None:
    given = [GOOD, {"type": "parade"}, {**GOOD, "id": "m2", "text": "STOP"}, {**GOOD, "id": ""}]
    with pytest.raises(BadWebhook) as caught:
        parse(orjson.dumps({"updates": given}))
    assert caught.value.place == "updates.1"
    assert [one.text for one in caught.value.understood if isinstance(one, InboundMessage)] == ["x", "STOP"]


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"updates": {}}', b'{"updates": [], "more": 1}'])
def test_nothing_is_read_out_of_another_form(body: bytes) -> None:
    with pytest.raises(BadWebhook) as caught:
        parse(body)
    assert caught.value.understood == ()


def test_too_many_updates_are_refused() -> None:
    with pytest.raises(BadWebhook):
        parse(orjson.dumps({"updates": [GOOD] * 1001}))


@pytest.mark.parametrize(
    ("settings", "secret"), [({}, SECRET), ({"url": 5}, SECRET), ({"url": "https://example.com"}, None)]
)
async def test_a_channel_without_url_or_secret_is_parked(settings: dict[str, object], secret: bytes | None) -> None:
    config = AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings=settings, secret=secret)
    with pytest.raises(AccountError) as caught:
        await CustomHttpConnector().open(config, Sink())
    assert caught.value.state == "parked"
    assert not CustomHttpConnector().verify_webhook(AccountConfig(uuid7(), Platform.CUSTOM, "x"), {}, b"")


@pytest.mark.parametrize(("asked", "count"), [(5, 5), (1000, 1000), (20_000, 10_000), (0, 100), ("x", 100), (0.5, 0.5)])
def test_the_tenant_says_how_fast_its_server_is_called(asked: object, count: float) -> None:
    config = AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings={"rate_per_second": asked})
    assert CustomHttpConnector().limits(config).account.count == count


@pytest.mark.parametrize(("asked", "daily"), [(250, 250), (0, 0), (-1, None), ("x", None)])
def test_settings_cap_the_people_of_a_day(asked: object, daily: int | None) -> None:
    config = AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings={"daily_unique": asked})
    assert CustomHttpConnector().limits(config).daily_unique == daily
