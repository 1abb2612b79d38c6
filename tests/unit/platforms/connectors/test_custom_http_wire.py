"""Servers that misbehave: what was written, what was not, and never a request on the wire twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.custom_http import client, connection, pool
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.custom_http.session import CustomHttpSession
from carillon.platforms.connectors.errors import AccountError, NotSent, SendError, Uncertain
from carillon.platforms.connectors.port import AccountConfig, Outbound, Platform
from tests.conformance.connectors.harness import SECRET, Sink, eventually, unused_port
from tests.fakes.raw_server import RawConnection, RawServer, raw_server


class MovableClock(SystemClock):
    """Boot time that a test moves."""

    moved = 0.0

    def boottime(self) -> float:
        return super().boottime() + self.moved


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


def answer(name: str, *headers: str) -> bytes:
    body = f'{{"id": "{name}"}}'
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def message() -> Outbound:
    return Outbound(id=uuid7(), key=1, peer="p", text="hi")


async def polite(one: RawConnection) -> None:
    """Answers every request with the number of the connection and of the request on it."""
    count = 0
    while True:
        await one.request()
        await one.say(answer(f"{one.number}.{count}"))
        count += 1


@asynccontextmanager
async def opened(
    server: RawServer | int, clock: MovableClock, *, deduplicates: bool = False, answer_seconds: float = 5.0
) -> AsyncIterator[CustomHttpSession]:
    port = server if isinstance(server, int) else server.port
    connector = CustomHttpConnector(
        NetGuard(["127.0.0.0/8"]), deduplicates=deduplicates, clock=clock, answer_seconds=answer_seconds
    )
    config = AccountConfig(
        uuid7(), Platform.CUSTOM, "shop", settings={"url": f"http://127.0.0.1:{port}/"}, secret=SECRET
    )
    session = await connector.open(config, Sink())
    try:
        yield session
    finally:
        await session.close()


async def sent(session: CustomHttpSession) -> str | type[SendError]:
    """The platform's id, or the kind of failure."""
    try:
        return (await session.send(message())).platform_id
    except SendError as error:
        return type(error)


async def test_a_connection_is_used_again(clock: MovableClock) -> None:
    async with raw_server(polite) as server, opened(server, clock) as session:
        assert [await sent(session) for _ in range(3)] == ["0.0", "0.1", "0.2"]


async def test_one_that_idled_too_long_is_not(clock: MovableClock) -> None:
    async with raw_server(polite) as server, opened(server, clock) as session:
        assert await sent(session) == "0.0"
        clock.moved = pool.IDLE_SECONDS - 1
        assert await sent(session) == "0.1"
        clock.moved += pool.IDLE_SECONDS + 1
        assert await sent(session) == "1.0"


async def test_one_that_served_enough_is_not(clock: MovableClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_REQUESTS", 2)
    async with raw_server(polite) as server, opened(server, clock) as session:
        assert [await sent(session) for _ in range(3)] == ["0.0", "0.1", "1.0"]


async def test_idle_connections_are_closed_without_being_asked_for(clock: MovableClock) -> None:
    ended = asyncio.Event()

    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.say(answer("a"))
        assert await one.reader.read() == b""
        ended.set()

    async with raw_server(behave) as server, opened(server, clock, answer_seconds=0.2) as session:
        assert await sent(session) == "a"
        clock.moved = pool.IDLE_SECONDS + 1
        async with asyncio.timeout(5):
            await ended.wait()


@pytest.mark.parametrize("last", [b"Connection: close", b"HTTP/1.0"])
async def test_a_server_that_ends_after_each_answer_loses_nothing(clock: MovableClock, last: bytes) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        raw = answer(str(one.number), *([last.decode()] if b":" in last else []))
        await one.say(raw if b":" in last else raw.replace(b"HTTP/1.1", last))
        # Waits for us to hang up: an answer is whole before the connection ends.
        assert await one.reader.read() == b""

    async with raw_server(behave) as server, opened(server, clock) as session:
        assert [await sent(session) for _ in range(3)] == ["0", "1", "2"]
        assert len(server.requests) == 3


async def test_an_answer_that_ends_with_the_connection(clock: MovableClock) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.say(b'HTTP/1.1 200 OK\r\n\r\n{"id": "a"}')
        await one.hang_up()

    async with raw_server(behave) as server, opened(server, clock) as session:
        assert [await sent(session), await sent(session)] == ["a", "a"]


async def test_a_server_that_hung_up_meanwhile_costs_no_message(clock: MovableClock) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.say(answer(str(one.number)))
        await one.hang_up()

    async with raw_server(behave) as server, opened(server, clock) as session:
        for number in range(3):
            assert await sent(session) == str(number)
            await eventually(lambda: not session._client._pools[0]._open)


@pytest.mark.parametrize("deduplicates", [False, True])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_ends_while_we_write_on_it_again_is_uncertain_and_not_tried_again(
    clock: MovableClock, *, reset: bool, deduplicates: bool
) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.say(answer(str(one.number)))
        await one.request()  # read, and perhaps acted upon
        if reset:
            one.abort()
        else:
            await one.hang_up()

    async with raw_server(behave) as server, opened(server, clock, deduplicates=deduplicates) as session:
        assert await sent(session) == "0"
        assert await sent(session) is Uncertain
        assert (len(server.requests), len(server.connections)) == (2, 1)
        assert await sent(session) == "1"


async def test_half_an_answer_is_uncertain(clock: MovableClock) -> None:
    whole = answer("a")

    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.say(whole[: 1 + one.number * 7])
        await one.hang_up()

    async with raw_server(behave) as server, opened(server, clock) as session:
        tries = len(whole) // 7
        assert [await sent(session) for _ in range(tries)] == [Uncertain] * tries
        assert len(server.requests) == tries


async def test_an_answer_byte_by_byte(clock: MovableClock) -> None:
    async def behave(one: RawConnection) -> None:
        while True:
            await one.request()
            for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + answer("a"):
                await one.say(bytes([byte]))
                await asyncio.sleep(0)

    async with raw_server(behave) as server, opened(server, clock) as session:
        assert [await sent(session), await sent(session)] == ["a", "a"]
        assert len(server.connections) == 1


async def test_an_answer_that_drips_for_ever_is_uncertain(clock: MovableClock) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.say(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            await one.say(b"x")
            await asyncio.sleep(0.01)

    async with raw_server(behave) as server, opened(server, clock, answer_seconds=0.2) as session:
        async with asyncio.timeout(5):
            assert await sent(session) is Uncertain


async def test_answers_that_were_not_asked_for_meet_no_other_request(clock: MovableClock) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.say(answer(f"{one.number}") + answer("nobody's"))
        await one.reader.read()

    async with raw_server(behave) as server, opened(server, clock) as session:
        assert [await sent(session) for _ in range(3)] == ["0", "1", "2"]


async def test_an_answer_out_of_the_blue_ends_the_connection(clock: MovableClock) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.say(answer(f"{one.number}"))
        await go.wait()
        await one.say(answer("nobody's"))
        await one.reader.read()

    go = asyncio.Event()
    async with raw_server(behave) as server, opened(server, clock) as session:
        assert await sent(session) == "0"
        go.set()
        await eventually(lambda: not session._client._pools[0]._open)
        assert await sent(session) == "1"


async def test_a_cancelled_send_leaves_no_answer_behind(clock: MovableClock) -> None:
    async def behave(one: RawConnection) -> None:
        while True:
            await one.request()
            if one.number == 0:
                await go.wait()
            await one.say(answer(f"{one.number}"))

    go = asyncio.Event()
    async with raw_server(behave) as server, opened(server, clock) as session:
        first = asyncio.create_task(session.send(message()))
        await eventually(lambda: bool(server.requests))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        assert await sent(session) == "1"


async def test_many_at_once_share_a_bounded_number_of_connections(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SIZE", 4)
    monkeypatch.setattr(client, "READY_SECONDS", 30.0)  # all get their turn, on a slow machine too
    async with raw_server(polite) as server, opened(server, clock) as session:
        names = await asyncio.gather(*(sent(session) for _ in range(50)))
        assert len(set(names)) == len(server.requests) == 50
        assert len(server.connections) == 4


async def test_a_send_without_its_turn_in_time_is_not_sent(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        await go.wait()
        await one.say(answer("a"))
        await polite(one)

    monkeypatch.setattr(pool, "SIZE", 1)
    monkeypatch.setattr(client, "READY_SECONDS", 0.05)
    go = asyncio.Event()
    async with raw_server(behave) as server, opened(server, clock) as session:
        first = asyncio.create_task(session.send(message()))
        await eventually(lambda: bool(server.requests))
        assert await sent(session) is NotSent
        go.set()
        assert (await first).platform_id == "a"
        assert await sent(session) == "0.0"
        assert len(server.requests) == 2


async def test_a_connection_handed_to_one_who_has_just_given_up_goes_to_the_next(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = pool.Pool.free

    def free_and_give_up(self: pool.Pool, one: connection.Connection) -> None:
        free(self, one)
        if server.requests:
            second.cancel()

    monkeypatch.setattr(pool, "SIZE", 1)
    monkeypatch.setattr(pool.Pool, "free", free_and_give_up)
    async with raw_server(polite) as server, opened(server, clock) as session:
        first, second = [asyncio.create_task(sent(session)) for _ in range(2)]
        assert await first == "0.0"
        with pytest.raises(asyncio.CancelledError):
            await second
        assert await sent(session) == "0.1"


async def test_a_busy_connection_does_not_outlive_the_judgement_of_its_address(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["10.0.0.1"]]

    async def resolve(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    monkeypatch.setattr(pool, "IDLE_SECONDS", 1_000.0)
    async with raw_server(polite) as server:
        connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"], resolve=resolve), clock=clock)
        settings = {"url": f"http://hooks.example:{server.port}/"}
        config = AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings=settings, secret=SECRET)
        session = await connector.open(config, Sink())
        outcomes = []
        for _ in range(4):
            outcomes.append(await sent(session))
            clock.moved += client.PIN_SECONDS + 1
        # The same address again keeps the connection; other addresses make another one, here to .2, where nobody is.
        assert outcomes == ["0.0", "0.1", NotSent, AccountError]
        await session.close()


async def test_a_slow_name_costs_a_send_but_is_found_for_the_next(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups: list[str] = []
    go = asyncio.Event()

    async def resolve(host: str, port: int) -> Sequence[str]:
        lookups.append(host)
        await go.wait()
        return ["127.0.0.1"]

    monkeypatch.setattr(client, "READY_SECONDS", 0.05)
    async with raw_server(polite) as server:
        connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"], resolve=resolve), clock=clock)
        settings = {"url": f"http://hooks.example:{server.port}/"}
        config = AccountConfig(uuid7(), Platform.CUSTOM, "shop", settings=settings, secret=SECRET)
        session = await connector.open(config, Sink())
        assert await asyncio.gather(*(sent(session) for _ in range(2))) == [NotSent] * 2
        go.set()
        await eventually(lambda: session._client._lane is not None)
        assert await sent(session) == "0.0"
        assert lookups == ["hooks.example"]
        await session.close()


async def test_a_server_that_takes_connections_and_drops_them_keeps_nobody_waiting(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def behave(one: RawConnection) -> None:
        one.abort()

    monkeypatch.setattr(client, "READY_SECONDS", 1_000.0)
    async with raw_server(behave) as server, opened(server, clock) as session:
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*(sent(session) for _ in range(10)))
        assert set(outcomes) <= {NotSent, Uncertain}
        assert server.requests == []


async def test_closing_tells_everyone_what_became_of_his_message(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def behave(one: RawConnection) -> None:
        await one.request()
        await one.reader.read()

    monkeypatch.setattr(pool, "SIZE", 1)
    async with raw_server(behave) as server, opened(server, clock) as session:
        sends = [asyncio.create_task(sent(session)) for _ in range(3)]
        await eventually(lambda: bool(server.requests))
        await session.close()
        assert Counter(await asyncio.gather(*sends)) == Counter({NotSent: 2, Uncertain: 1})
        assert await sent(session) is NotSent


async def test_closing_during_a_lookup_leaves_nothing(clock: MovableClock) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    before = asyncio.all_tasks()
    connector = CustomHttpConnector(NetGuard(["127.0.0.0/8"], resolve=resolve), clock=clock)
    config = AccountConfig(uuid7(), Platform.CUSTOM, "x", settings={"url": "https://hooks.example/"}, secret=SECRET)
    session = await connector.open(config, Sink())
    sends = [asyncio.create_task(sent(session)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await session.close()
    assert await asyncio.gather(*sends) == [NotSent, NotSent]
    assert asyncio.all_tasks() == before


async def test_nobody_listens_and_nobody_waits_for_it(clock: MovableClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READY_SECONDS", 1_000.0)
    async with asyncio.timeout(30), opened(await unused_port(), clock) as session:
        assert await asyncio.gather(*(sent(session) for _ in range(5))) == [NotSent] * 5
