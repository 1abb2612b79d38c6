"""What every connector promises, tried with each of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from carillon.platforms.connectors.errors import (
    AccountError,
    BadWebhook,
    Flooded,
    LeaseLost,
    NotSent,
    Rejected,
    SendError,
    Uncertain,
)
from carillon.platforms.connectors.port import (
    AccountUpdate,
    InboundMessage,
    Outbound,
    Platform,
    Session,
    WebhookReceiver,
)
from tests.conformance.connectors.harness import SECRET, Harness, Sink, eventually
from tests.conformance.connectors.http_channel import http_channel
from tests.conformance.connectors.simulated import simulator

NAMES = ("simulator_telegram", "simulator_whatsapp", "custom_http", "custom_http_idempotent")
HOSTILE = {
    "right to left": "\u202eabc\u202c \u200fشكراً\u200e",
    "nul": "a\0b",
    "four bytes": "👩‍👩‍👧‍👦 𝕏 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "lines": "a\nb\r\nc\u2028d\u2029e\x85f",
    "json": '"}\\u0000{"',
    "longest": "語" * 4096,
    "spaces": "  a  ",
}


@pytest.fixture(params=NAMES)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    name: str = request.param
    if name.startswith("simulator_"):
        async with simulator(tmp_path, Platform(name.removeprefix("simulator_"))) as simulated:
            yield simulated
    else:
        async with http_channel(deduplicates=name.endswith("idempotent")) as channel:
            yield channel


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
async def session(harness: Harness, sink: Sink) -> AsyncIterator[Session]:
    session = await harness.connector.open(harness.account(), sink)
    yield session
    await session.close()


async def failure(session: Session, message: Outbound) -> SendError:
    with pytest.raises(SendError) as caught:
        await session.send(message)
    return caught.value


async def test_it_is_named_and_says_what_it_can(harness: Harness, request: pytest.FixtureRequest) -> None:
    assert harness.connector.name == request.node.callspec.params["harness"]
    assert harness.connector.capabilities.max_text > 0
    limits = harness.connector.limits(harness.account())
    assert limits.account.count > 0
    assert limits.account.seconds > 0


async def test_an_accepted_message_has_the_platforms_name(harness: Harness, session: Session) -> None:
    messages = [harness.message() for _ in range(20)]
    accepted = await asyncio.gather(*(session.send(message) for message in messages))
    assert len({one.platform_id for one in accepted}) == 20
    assert all(one.platform_id and one.at.tzinfo for one in accepted)
    assert {one.message_id for one in await harness.taken()} == {one.id for one in messages}


async def test_a_second_send_is_dropped_exactly_if_the_connector_says_so(harness: Harness, session: Session) -> None:
    message = harness.message()
    first, second = await session.send(message), await session.send(message)
    deduplicates = harness.connector.capabilities.deduplicates
    assert len(await harness.taken()) == (1 if deduplicates else 2)
    assert (first.platform_id == second.platform_id) == deduplicates


async def test_an_unreachable_platform_means_not_sent(harness: Harness, sink: Sink) -> None:
    connector, account = harness.unreachable()
    session = await connector.open(account, sink)
    error = await failure(session, harness.message())
    assert type(error) is NotSent
    await session.close()


async def test_a_lost_answer_means_uncertain_and_only_then_a_resend_may_help(
    harness: Harness, session: Session
) -> None:
    await harness.lose_next_answer()
    message = harness.message()
    assert isinstance(await failure(session, message), Uncertain)
    assert [one.message_id for one in await harness.taken()] == [message.id]
    if harness.connector.capabilities.deduplicates:
        await send_when_back(session, message)
        assert len(await harness.taken()) == 1


async def test_the_session_works_again_after_a_lost_answer(harness: Harness, session: Session) -> None:
    await harness.lose_next_answer()
    await failure(session, harness.message())
    message = harness.message()
    await send_when_back(session, message)
    assert (await harness.taken())[-1].message_id == message.id


async def send_when_back(session: Session, message: Outbound) -> None:
    """Try again for as long as it is certain that nothing left."""

    async def sent() -> bool:
        try:
            await session.send(message)
        except NotSent:
            return False
        return True

    await eventually(sent)


async def test_a_flood_says_how_long_and_takes_nothing(harness: Harness, session: Session) -> None:
    error = await failure(session, harness.flooded())
    assert isinstance(error, Flooded)
    assert error.retry_after > 0
    assert await harness.taken() == []


async def test_a_refusal_is_for_good_and_classified(harness: Harness, session: Session) -> None:
    error = await failure(session, harness.rejected())
    assert isinstance(error, Rejected)
    assert error.failure == "recipient"
    assert error.platform_code
    assert await harness.taken() == []


async def test_an_account_that_cannot_be_opened_says_its_state(harness: Harness, sink: Sink) -> None:
    with pytest.raises(AccountError) as caught:
        await harness.connector.open(harness.refused_account(), sink)
    assert caught.value.state in {"signed_out", "parked"}
    assert caught.value.message


async def test_errors_are_readable_and_keep_secrets(harness: Harness, session: Session, sink: Sink) -> None:
    with pytest.raises(AccountError) as refused:
        await harness.connector.open(harness.refused_account(), sink)
    flooded, rejected = harness.flooded(), harness.rejected()
    errors: list[SendError] = [refused.value, await failure(session, rejected), await failure(session, flooded)]
    connector, account = harness.unreachable()
    unreachable = await connector.open(account, sink)
    errors.append(await failure(unreachable, harness.message()))
    await unreachable.close()
    await session.close()
    errors.append(await failure(session, harness.message()))
    for error in errors:
        assert error.message
        assert error.code not in {"", "error", "send_error"}
        shown = f"{error} {error!r} {error.data!r} {error.args!r} {error.__cause__!r}"
        assert SECRET.decode() not in shown
        assert "t0ken" not in shown
    assert SECRET.decode() not in repr(harness.account())
    assert SECRET.decode() not in repr(sink.kept)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_text_travels_intact(harness: Harness, session: Session, name: str) -> None:
    await session.send(harness.message(HOSTILE[name]))
    assert [one.text for one in await harness.taken()] == [HOSTILE[name]]


@pytest.mark.parametrize("text", ["x" * 4097, "half a pair \ud83d"])
async def test_impossible_text_is_refused_and_the_session_lives(harness: Harness, session: Session, text: str) -> None:
    error = await failure(session, harness.message(text))
    assert isinstance(error, Rejected)
    assert error.failure == "content"
    await session.send(harness.message())
    assert len(await harness.taken()) == 1


async def test_closing_is_idempotent_and_leaves_no_socket_or_task(harness: Harness, sink: Sink) -> None:
    tasks = asyncio.all_tasks()
    session = await harness.connector.open(harness.account(), sink)
    await session.send(harness.message())
    assert sockets_to(harness.port) > 0
    await asyncio.gather(session.close(), session.close())
    await session.close()
    await eventually(lambda: sockets_to(harness.port) == 0)
    await eventually(lambda: not [task for task in asyncio.all_tasks() - tasks if not task.done()])
    assert isinstance(await failure(session, harness.message()), NotSent)


def sockets_to(port: int) -> int:
    """Our connections to a port, whatever their state, as long as we hold them."""
    found = psutil.Process().net_connections("tcp")
    return sum(1 for one in found if one.raddr and one.raddr.port == port)


async def test_opening_reports_the_account(harness: Harness, session: Session, sink: Sink) -> None:
    await eventually(lambda: bool(sink.of(AccountUpdate)))
    first = sink.of(AccountUpdate)[0]
    assert isinstance(first, AccountUpdate)
    assert (first.state, bool(first.reason), bool(first.at.tzinfo)) == ("online", True, True)


async def test_updates_come_again_until_the_sink_took_them(harness: Harness, session: Session, sink: Sink) -> None:
    skip_unless_pushed(harness)
    await eventually(lambda: bool(sink.kept))
    sink.trouble = [RuntimeError("database away"), OSError("still away")]
    await harness.inject("hi")
    await eventually(lambda: bool(sink.of(InboundMessage)))
    assert sink.trouble == []
    await eventually(lambda: confirmed(harness))
    assert len(sink.of(InboundMessage)) == 1


async def test_updates_not_taken_come_to_the_next_session_and_those_taken_do_not(harness: Harness) -> None:
    skip_unless_pushed(harness)
    broken, working, last = Sink(trouble=[OSError("away")] * 100_000), Sink(), Sink()
    first = await harness.connector.open(harness.account(), broken)
    await harness.inject("hi")
    await eventually(lambda: broken.calls > 3)
    await first.close()
    assert await harness.unconfirmed() == 1
    await reopened(harness, working, lambda: bool(working.of(InboundMessage)))
    await eventually(lambda: confirmed(harness))
    await reopened(harness, last, lambda: bool(last.kept))
    assert last.of(InboundMessage) == []


async def test_a_lost_lease_ends_the_session_and_confirms_nothing(
    harness: Harness, session: Session, sink: Sink
) -> None:
    skip_unless_pushed(harness)
    await eventually(lambda: bool(sink.kept))
    sink.trouble = [LeaseLost()]
    await harness.inject("hi")
    await eventually(lambda: sockets_to(harness.port) == 0)
    assert isinstance(await failure(session, harness.message()), LeaseLost)
    assert await harness.unconfirmed() == 1
    assert sink.of(InboundMessage) == []


async def reopened(harness: Harness, sink: Sink, condition) -> None:
    session = await harness.connector.open(harness.account(), sink)
    await eventually(condition)
    if harness.pushes_updates:
        await eventually(lambda: confirmed(harness))
    await session.close()


async def confirmed(harness: Harness) -> bool:
    return await harness.unconfirmed() == 0


def skip_unless_pushed(harness: Harness) -> None:
    if not harness.pushes_updates:
        pytest.skip("its updates come as webhooks, which the platform repeats until it gets a 2xx")


async def test_a_webhook_receiver_refuses_what_is_unsigned_or_unreadable(harness: Harness) -> None:
    connector = harness.connector
    if not isinstance(connector, WebhookReceiver):
        pytest.skip("it receives no webhooks")
    assert not connector.verify_webhook(harness.account(), {}, b"{}")
    for body in (b"", b"\xff", b"[]", b"{}", b'{"updates": [{"type": "?"}]}', b"[" * 100_000):
        with pytest.raises(BadWebhook) as caught:
            connector.parse_webhook(harness.account(), {}, body)
        assert caught.value.place
