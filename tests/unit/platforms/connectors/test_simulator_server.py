"""The simulated platform's rules, seen through its connector and its wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.errors import AccountError, Flooded, LeaseLost, NotSent, Rejected, Uncertain
from carillon.platforms.connectors.port import (
    AccountConfig,
    AccountState,
    AccountUpdate,
    Blocked,
    InboundMessage,
    Outbound,
    Platform,
    StatusUpdate,
)
from carillon.platforms.connectors.simulator import server, session
from carillon.platforms.connectors.simulator.admin import SimulatorAdmin
from carillon.platforms.connectors.simulator.behaviour import Behaviour, behaviour_from
from carillon.platforms.connectors.simulator.client import AnswerError, connect
from carillon.platforms.connectors.simulator.connector import SimulatorConnector
from carillon.platforms.connectors.simulator.ledger import LedgerSummary, summary_of
from carillon.platforms.connectors.simulator.protocol import MAX_LINE
from carillon.platforms.connectors.simulator.server import SimulatorServer
from tests.conformance.connectors.harness import ImpatientClock, Sink, eventually

T, W = Platform.TELEGRAM, Platform.WHATSAPP


class LeapingClock(ImpatientClock):
    """As after a suspension: an hour passes whenever somebody looks."""

    def __init__(self) -> None:
        self.hours = 0

    def boottime(self) -> float:
        self.hours += 1
        return 3_600.0 * self.hours


class World:
    """A server, its controls and its ledger."""

    def __init__(self, server: SimulatorServer, address: str, admin: SimulatorAdmin) -> None:
        self.server, self.address, self.admin = server, address, admin

    async def open(self, platform: Platform, sink: Sink, account: str = "a", answer_seconds: float = 30):
        clock = ImpatientClock()
        connector = SimulatorConnector(self.address, platform, clock=clock, answer_seconds=answer_seconds)
        return await connector.open(AccountConfig(uuid7(), platform, account), sink)

    @property
    def summary(self) -> LedgerSummary:
        return summary_of(self.server.state)

    async def quiet(self) -> bool:
        return await self.admin.quiesce() == (0, 0)


@asynccontextmanager
async def world(folder: Path, behaviour: Behaviour | None = None, speed: float = 1.0) -> AsyncIterator[World]:
    server = SimulatorServer(folder / "ledger", behaviour, speed=speed)
    address = await server.start()
    async with SimulatorAdmin(address) as admin:
        try:
            yield World(server, address, admin)
        finally:
            await server.close()


def states(sink: Sink) -> list[AccountState]:
    return [update.state for update in sink.kept if isinstance(update, AccountUpdate)]


def message(key: int = 1, peer: str = "p") -> Outbound:
    return Outbound(uuid7(), key, peer, "hello")


async def test_two_telegram_sessions_destroy_each_other(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        sink = Sink()
        first = await it.open(T, sink)
        with pytest.raises(AccountError) as caught:
            await it.open(T, Sink())
        assert (caught.value.state, caught.value.platform_code) == ("signed_out", "AUTH_KEY_DUPLICATED")
        await eventually(lambda: AccountState.SIGNED_OUT in states(sink))
        with pytest.raises(AccountError):
            await first.send(message())
        await first.close()
        assert it.summary.double_sessions == 1
        with pytest.raises(AccountError):
            await it.open(T, Sink())
        await it.admin.revive("telegram", "a")
        revived = await it.open(T, Sink())
        await revived.send(message())
        await revived.close()


async def test_a_silent_telegram_session_is_followed_and_must_stay_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IN_USE_SECONDS", -1.0)
    async with world(tmp_path) as it:
        frozen, sink = await it.open(T, Sink()), Sink()
        heir = await it.open(T, sink)
        await heir.send(message(1))
        assert it.summary.double_sessions == 0
        with pytest.raises((AccountError, Uncertain)):
            await frozen.send(message(2))
        assert (it.summary.double_sessions, len(it.summary.accepted)) == (1, 1)
        with pytest.raises((AccountError, NotSent, Uncertain)):
            await heir.send(message(3))
        await asyncio.gather(frozen.close(), heir.close())


async def test_a_superseded_session_that_ends_without_a_word_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IN_USE_SECONDS", -1.0)
    async with world(tmp_path) as it:
        frozen = await it.open(T, Sink())
        heir = await it.open(T, Sink())
        await frozen.close()
        await heir.send(message())
        assert it.summary.double_sessions == 0
        await heir.close()


@pytest.mark.parametrize(("ping", "silence"), [(0.02, 60.0), (0.02, -1.0)], ids=["answered", "dead"])
async def test_a_session_pings_and_leaves_a_dead_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ping: float, silence: float
) -> None:
    async with world(tmp_path) as it:
        monkeypatch.setattr(session, "PING_SECONDS", ping)
        monkeypatch.setattr(session, "SILENCE_SECONDS", silence)
        sink = Sink()
        opened = await it.open(T, sink)
        (connection,) = it.server.sessions.values()
        if silence < 0:
            await eventually(lambda: AccountState.DEGRADED in states(sink))
        else:
            heard = connection.silence()
            await eventually(lambda: connection.silence() < heard or connection.silence() < ping)
        await opened.close()


async def test_a_session_that_was_frozen_says_nothing_more_on_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PING_SECONDS", 0.02)
    async with world(tmp_path) as it:
        sink, clock = Sink(), LeapingClock()
        connector = SimulatorConnector(it.address, T, clock=clock)
        opened = await connector.open(AccountConfig(uuid7(), T, "a"), sink)
        await eventually(lambda: AccountState.DEGRADED in states(sink))
        await opened.close()


async def test_a_second_whatsapp_session_throws_the_first_one_out_for_good(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        first = await it.open(W, Sink())
        second = await it.open(W, Sink())
        await second.send(message())

        async def thrown_out() -> bool:
            with pytest.raises((LeaseLost, Uncertain, NotSent)) as caught:
                await first.send(message())
            return isinstance(caught.value, LeaseLost)

        await eventually(thrown_out)
        await second.send(message())
        assert it.summary.double_sessions == 1
        await asyncio.gather(first.close(), second.close())


async def test_a_closed_session_may_be_opened_again_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for _ in range(5):
            session = await it.open(T, Sink())
            await session.close()
            await eventually(lambda: not it.server.sessions)
        assert it.summary.double_sessions == 0


async def test_nothing_counts_as_sent_to_someone_whose_stop_we_have_not_confirmed(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        sink, other = Sink(), await it.open(W, Sink(), "other")
        session = await it.open(W, sink)
        await other.send(message(1))
        await it.admin.inject("whatsapp", "a", "p", "退订", stop=True)
        await eventually(it.quiet)
        late = message(2)
        await other.send(late)
        assert [one.message_id for one in it.summary.to_opted_out] == [str(late.id)]
        assert list(it.summary.opt_out_acked_at) == [("whatsapp", "p")]
        counters, entries = await it.admin.ledger()
        assert (counters["accepted"], counters["to_opted_out"], len(entries)) == (2, 1, 2)
        await asyncio.gather(session.close(), other.close())


async def test_a_flood_lasts_for_the_whole_account(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(flood_rate=1, flood_seconds=20_000), speed=10) as it:
        sink = Sink()
        session = await it.open(T, sink)
        with pytest.raises(Flooded) as caught:
            await session.send(message(1))
        assert caught.value.retry_after == pytest.approx(2000)
        with pytest.raises(Flooded) as again:
            await session.send(message(2, "someone else"))
        assert 0 < again.value.retry_after < 2000
        assert it.summary.floods == 1
        await eventually(lambda: AccountState.FLOODED in states(sink))
        await session.close()


async def test_a_flood_ends_and_comes_once_for_each_message(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(flood_rate=1, flood_seconds=1), speed=100) as it:
        session = await it.open(T, Sink())

        async def sent() -> bool:
            try:
                await session.send(message(1))
            except Flooded:
                return False
            return True

        await eventually(sent)
        assert it.summary.floods == 1
        await session.close()


async def test_a_flood_of_one_chat_leaves_the_others_alone(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(pair_flood_rate=0.5, seed=1)) as it:
        session = await it.open(W, Sink())
        outcomes = await asyncio.gather(
            *(session.send(message(key, f"p{key}")) for key in range(40)), return_exceptions=True
        )
        floods = [one for one in outcomes if isinstance(one, Flooded)]
        assert 0 < len(floods) < 40
        assert all(one.only_peer for one in floods)
        assert len(it.summary.accepted) == 40 - len(floods)
        await session.close()


@pytest.mark.parametrize(("kind", "state"), [("ban", "banned"), ("restrict", "restricted")])
async def test_an_account_is_punished_after_so_many_messages(tmp_path: Path, kind: str, state: str) -> None:
    behaviour = behaviour_from({f"{kind}_after": 3, f"{kind}_accounts": ("a",)})
    async with world(tmp_path, behaviour) as it:
        sink = Sink()
        session, innocent = await it.open(T, sink), await it.open(T, Sink(), "b")
        for key in range(3):
            await session.send(message(key))
        with pytest.raises(AccountError) as caught:
            await session.send(message(4))
        assert (caught.value.state, bool(caught.value.message)) == (state, True)
        await eventually(lambda: AccountState(state) in states(sink))
        for key in range(5):
            await innocent.send(message(key))
        await asyncio.gather(session.close(), innocent.close())


async def test_people_who_block_are_told_and_refuse_from_then_on(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(block_rate=1, reply_seconds=0)) as it:
        sink = Sink()
        session = await it.open(W, sink)
        await session.send(message(1))
        await eventually(lambda: bool(sink.of(Blocked)))
        with pytest.raises(Rejected) as caught:
            await session.send(message(2))
        assert (caught.value.failure, caught.value.opt_out) == ("blocked", True)
        await session.close()


async def test_a_lost_answer_of_the_seed_is_uncertain_once(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(lost_answer_rate=1)) as it:
        session, one = await it.open(T, Sink()), message()
        with pytest.raises(Uncertain):
            await session.send(one)

        async def sent() -> bool:
            try:
                await session.send(one)
            except NotSent:
                return False
            return True

        await eventually(sent)
        assert (len(it.summary.accepted), it.summary.resends) == (1, 1)
        await session.close()


async def test_an_outage_degrades_and_the_session_comes_back_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        sink = Sink()
        session = await it.open(T, sink)
        await it.admin.fault(outage=True)
        await eventually(lambda: AccountState.DEGRADED in states(sink))
        with pytest.raises(NotSent):
            await session.send(message())
        await it.admin.fault(outage=False)
        await eventually(lambda: states(sink)[-1] is AccountState.ONLINE)
        await session.send(message())
        assert it.summary.double_sessions == 0
        await session.close()


async def test_opening_while_the_platform_refuses_connections_waits_in_the_background(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.admin.fault(refuse_connects=True)
        sink = Sink()
        session = await it.open(T, sink)
        with pytest.raises(NotSent):
            await session.send(message())
        await it.admin.fault(refuse_connects=False)
        await eventually(lambda: AccountState.ONLINE in states(sink))
        assert states(sink)[0] is AccountState.DEGRADED
        await session.close()


async def test_an_answer_that_takes_too_long_is_uncertain(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.admin.fault(delay=30.0)
        session = await it.open(T, Sink(), answer_seconds=0.05)
        with pytest.raises(Uncertain) as caught:
            await session.send(message())
        assert caught.value.platform_code == "TIMEOUT"
        assert len(it.summary.accepted) == 1
        await session.close()


async def test_more_updates_than_the_window_all_arrive_in_order(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await asyncio.gather(*(it.admin.inject("telegram", "a", "p", str(n)) for n in range(1300)))
        sink = Sink()
        session = await it.open(T, sink)
        await eventually(it.quiet)
        texts = [update.text for update in sink.kept if isinstance(update, InboundMessage)]
        assert texts == [str(n) for n in range(1300)]
        await session.close()


async def test_broken_sessions_neither_lose_nor_reorder_updates(tmp_path: Path) -> None:
    behaviour = Behaviour(delivered_rate=1, delivered_seconds=0.01, read_rate=1, read_seconds=0.02)
    async with world(tmp_path, behaviour) as it:
        sink = Sink()
        session = await it.open(W, sink)
        for key in range(60):
            if key % 10 == 5:
                await it.admin.fault(drop_sessions=True)
            one = message(key)

            async def sent(one: Outbound = one) -> bool:
                try:
                    await session.send(one)
                except (NotSent, Uncertain) as error:
                    return isinstance(error, Uncertain)
                return True

            await eventually(sent)
        await eventually(it.quiet)
        told = [(u.message_id, u.status) for u in sink.kept if isinstance(u, StatusUpdate)]
        assert len(told) == len(set(told)) == 2 * len(it.summary.accepted)
        await session.close()


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[]\n",
        b'{"op": "nothing"}\n',
        b'{"op": "send", "peer": "p"}\n',
        b'{"op": "hello", "platform": "fax", "account": "a", "secret": "", "acked": 0}\n',
        b'{"op": "hello", "platform": "telegram", "account": "a", "secret": "", "acked": 5}\n',
        b'{"op": "fault", "r": 1, "volcano": true}\n',
        b"x" * 300_000,
    ],
)
async def test_a_frame_that_makes_no_sense_ends_only_its_connection(tmp_path: Path, line: bytes) -> None:
    async with world(tmp_path) as it:
        host, _, port = it.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(line)
        try:
            assert b"bad_frame" in await reader.read()
        except ConnectionResetError:
            # What it left unread makes the end a reset, which may overtake the answer.
            assert len(line) > MAX_LINE
        writer.close()
        assert await it.quiet()


async def test_one_connection_opens_one_account(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        wire = await connect(it.address)
        hello = {"platform": "telegram", "account": "a", "secret": "", "acked": 0}
        assert await wire.request("hello", **hello) == {"acked": 0}
        with pytest.raises(ConnectionError):
            await wire.request("hello", **hello)
        with pytest.raises(ConnectionError) as caught:
            await wire.request("send")
        assert not caught.value.written  # type: ignore[attr-defined]
        wire.abort()


async def test_an_account_error_keeps_the_connection(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.server.set_state(it.server.state.account("telegram", "a"), "banned", "X")
        wire = await connect(it.address)
        with pytest.raises(AnswerError):
            await wire.request("hello", platform="telegram", account="a", secret="", acked=0)
        wire.abort()
        await wire.lost.wait()


def test_it_works_on_uvloop_whose_transports_are_a_kind_of_their_own(tmp_path: Path) -> None:
    async def scenario() -> str:
        async with world(tmp_path) as it:
            session = await it.open(T, Sink())
            accepted = await session.send(message())
            await session.close()
            return str(accepted.platform_id)

    assert uvloop.run(scenario()) == "1001"
