"""The live feed over a real socket: tickets, replay, permissions, coalescing, slow readers, revocation, drain."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from carillon.events import outbox
from carillon.events.catalog.platforms import MessageAccepted, MessageChanged, WebhookReceived
from carillon.gateway.live import hub as hub_module
from carillon.gateway.server import AddressInUse, serve
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import Permission
from carillon.storage.resources import Resources
from tests.fixtures import toy
from tests.fixtures.api import Client, FakeAuthenticator

Owner: TypeAlias = "asyncpg.Connection[Any]"


@dataclass
class Served:
    """A running server and the way to its tickets."""

    port: int
    client: Client
    stop: asyncio.Event

    async def ticket(self, client: Client | None = None) -> str:
        answer = await (client or self.client).post("/api/v1/live/ticket")
        assert answer.status == 201, answer.body
        return str(answer.json()["ticket"])

    @asynccontextmanager
    async def open(self, ticket: str, more: str = "") -> AsyncIterator[ClientConnection]:
        async with connect(f"ws://127.0.0.1:{self.port}/ws?ticket={ticket}{more}", proxy=None) as connection:
            yield connection


@pytest.fixture
async def served(app: FastAPI, client: Client) -> AsyncIterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop, started = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(serve(app, host="127.0.0.1", port=port, stop=stop, started=started, drain=10))
    async with asyncio.timeout(20):
        await started.wait()
    yield Served(port, client, stop)
    stop.set()
    await running


async def frame(connection: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await connection.recv())


async def accept(resources: Resources, tenant: UUID, kind: str = "test") -> UUID:
    """Append an event."""
    message_id = uuid7()
    async with resources.database.transaction(tenant) as tx:
        await outbox.append(
            tx, MessageAccepted(message_id=message_id, account_id=uuid7(), contact_id=uuid7(), kind=kind)
        )
    return message_id


async def test_events_arrive_in_order_and_only_those_of_the_tenant(
    served: Served, app_resources: Resources, tenant: UUID, other_tenant: UUID
) -> None:
    async with served.open(await served.ticket()) as connection:
        hello = await frame(connection)
        assert (hello["type"], hello["seq"], hello["reset"]) == ("hello", 0, True)
        await accept(app_resources, other_tenant)
        ids = [await accept(app_resources, tenant, f"k{number}") for number in range(5)]
        frames = [await frame(connection) for _ in ids]
    assert [item["subject_id"] for item in frames] == [str(each) for each in ids]
    assert [item["seq"] for item in frames] == [1, 2, 3, 4, 5]
    assert frames[0]["type"] == "message.accepted"
    assert frames[0]["data"]["kind"] == "k0"


async def test_who_comes_back_gets_what_was_missed(served: Served, app_resources: Resources, tenant: UUID) -> None:
    async with served.open(await served.ticket()) as connection:
        epoch = (await frame(connection))["epoch"]
        await accept(app_resources, tenant)
        assert (await frame(connection))["seq"] == 1
    missed = [await accept(app_resources, tenant) for _ in range(3)]
    async with served.open(await served.ticket(), f"&since=1&epoch={epoch}") as connection:
        hello = await frame(connection)
        assert (hello["epoch"], hello["reset"]) == (epoch, False)
        frames = [await frame(connection) for _ in missed]
    assert [item["seq"] for item in frames] == [2, 3, 4]
    for unknown in (f"&since=99&epoch={epoch}", "&since=1&epoch=other"):
        async with served.open(await served.ticket(), unknown) as connection:
            assert (await frame(connection))["reset"]


async def test_whatever_a_client_says_the_feed_goes_on(served: Served, app_resources: Resources, tenant: UUID) -> None:
    async with served.open(await served.ticket()) as connection:
        await frame(connection)
        for said in ("hello", b"\x00\xff", b"x" * 100_000):
            await connection.send(said)
        await accept(app_resources, tenant)
        assert (await frame(connection))["type"] == "message.accepted"


async def test_a_late_commit_is_not_missed(served: Served, app_resources: Resources, tenant: UUID) -> None:
    async with served.open(await served.ticket()) as connection:
        await frame(connection)
        async with app_resources.database.transaction(tenant) as tx:
            await outbox.append(
                tx, MessageAccepted(message_id=uuid7(), account_id=uuid7(), contact_id=uuid7(), kind="early")
            )
            await accept(app_resources, tenant, "late")
        kinds = [(await frame(connection))["data"]["kind"] for _ in range(2)]
    assert kinds == ["early", "late"]


async def test_subjects_see_what_they_may(
    served: Served, app_resources: Resources, tenant: UUID, authenticator: FakeAuthenticator
) -> None:
    token = authenticator.admit(tenant, permissions=1 << Permission.EVENTS_READ)
    limited = served.client.having(authorization=f"Bearer {token}")
    async with served.open(await served.ticket(limited)) as connection:
        await frame(connection)
        await accept(app_resources, tenant)
        async with app_resources.database.transaction(tenant) as tx:
            await outbox.append(tx, WebhookReceived(call_id=uuid7(), account_id=uuid7()))
        seen = await frame(connection)
    # The number shows that one was left out; what it was is not told.
    assert (seen["type"], seen["seq"]) == ("webhook.received", 2)


async def test_progress_is_coalesced(served: Served, app_resources: Resources, tenant: UUID) -> None:
    message_id = uuid7()

    def changed(state: str) -> MessageChanged:
        return MessageChanged(
            message_id=message_id, account_id=message_id, contact_id=message_id, kind="test", state=state
        )

    async with served.open(await served.ticket()) as connection:
        await frame(connection)
        async with app_resources.database.transaction(tenant) as tx:
            await outbox.append(tx, *(changed(str(number)) for number in range(100)))
        states = [(await frame(connection))["data"]["state"] for _ in range(2)]
    assert states == ["0", "99"]


async def test_tickets_work_once_and_not_for_long(
    served: Served, owner: Owner, tenant: UUID, authenticator: FakeAuthenticator
) -> None:
    used = await served.ticket()
    async with served.open(used) as connection:
        await frame(connection)
    old = await served.ticket()
    await owner.execute(
        "UPDATE gateway.live_ticket SET expires_at = now() - interval '1 second' WHERE tenant_id = $1", tenant
    )
    revoked_token = authenticator.admit(tenant)
    revoked = await served.ticket(served.client.having(authorization=f"Bearer {revoked_token}"))
    del authenticator.subjects[revoked_token]
    for bad in (used, old, revoked, "nonsense", f"{tenant.hex}.guess"):
        async with served.open(bad) as connection:
            with pytest.raises(ConnectionClosed):
                await frame(connection)
            assert connection.close_code == 4401


async def test_a_revoked_credential_is_dropped(served: Served, tenant: UUID, authenticator: FakeAuthenticator) -> None:
    token = authenticator.admit(tenant)
    async with served.open(await served.ticket(served.client.having(authorization=f"Bearer {token}"))) as connection:
        await frame(connection)
        del authenticator.subjects[token]
        with pytest.raises(ConnectionClosed):
            await frame(connection)
        assert connection.close_code == 4401


async def test_a_slow_socket_is_closed_and_others_are_served(
    served: Served, app_resources: Resources, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_ticket, slow_ticket = await served.ticket(), await served.ticket()
    async with served.open(quick_ticket) as quick:
        await frame(quick)
        # Reads nothing: its receive buffers and then its queue here fill up.
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1)
        writer.write(
            f"GET /ws?ticket={slow_ticket} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        hub = served.client.app.state.hub
        async with asyncio.timeout(10):
            while len(hub._topics[tenant].sockets) < 2:  # noqa: ASYNC110 - it tells only when asked
                await asyncio.sleep(0.01)
        received = 0
        async with asyncio.timeout(60):
            while len(hub._topics[tenant].sockets) == 2:
                async with app_resources.database.transaction(tenant) as tx:
                    await outbox.append(
                        tx,
                        *(
                            MessageAccepted(
                                message_id=uuid7(), account_id=uuid7(), contact_id=uuid7(), kind="x" * 20_000
                            )
                            for _ in range(200)
                        ),
                    )
                for _ in range(200):
                    await frame(quick)
                    received += 1
        assert received
        await accept(app_resources, tenant, "still here")
        assert (await frame(quick))["data"]["kind"] == "still here"
        writer.close()
        reader.feed_eof()


async def test_stopping_sends_sockets_elsewhere(served: Served) -> None:
    async with served.open(await served.ticket()) as connection:
        await frame(connection)
        served.stop.set()
        with pytest.raises(ConnectionClosed):
            await frame(connection)
        assert connection.close_code == 1012


async def test_stopping_lets_requests_finish(served: Served, owner: Owner) -> None:
    body = b'{"name": "wait"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(
        b"POST /api/v1/notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        + f"Content-Length: {len(body)}\r\nAuthorization: {served.client.headers['authorization']}\r\n\r\n".encode()
        + body
    )
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND query LIKE 'INSERT INTO toy.note%' AND state = 'idle in transaction'"
    )
    async with asyncio.timeout(10):
        while not await owner.fetchval(running):  # noqa: ASYNC110 - the database tells only when asked
            await asyncio.sleep(0.01)
    served.stop.set()
    async with asyncio.timeout(10):
        while not served.client.app.state.checks.draining:  # noqa: ASYNC110 - it tells only when asked
            await asyncio.sleep(0.01)
    assert (await served.client.get("/readyz")).status == 503
    toy.gate.set()
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 201")
    writer.close()


async def test_an_address_in_use_is_said_plainly(served: Served, app: FastAPI) -> None:
    with pytest.raises(AddressInUse, match=str(served.port)):
        await serve(app, host="127.0.0.1", port=served.port, stop=asyncio.Event())


async def test_the_feed_goes_on_after_its_listener_was_cut(
    served: Served, app_resources: Resources, tenant: UUID, owner: Owner
) -> None:
    async with served.open(await served.ticket()) as connection:
        await frame(connection)
        cut = await owner.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        assert cut == 1
        await accept(app_resources, tenant, "after")
        assert (await frame(connection))["data"]["kind"] == "after"


def test_reviews_happen_within_five_seconds() -> None:
    assert hub_module._REVIEW_EVERY < 5
