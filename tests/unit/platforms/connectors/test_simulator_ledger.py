"""The simulator's ledger: what it counts, and what it survives."""

import asyncio
import signal
import sys
from pathlib import Path
from uuid import UUID

import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.port import AccountConfig, Blocked, InboundMessage, Outbound, Platform, StatusUpdate
from carillon.platforms.connectors.simulator.__main__ import main
from carillon.platforms.connectors.simulator.admin import SimulatorAdmin
from carillon.platforms.connectors.simulator.connector import SimulatorConnector
from carillon.platforms.connectors.simulator.ledger import Ledger, read_ledger
from carillon.platforms.connectors.simulator.protocol import FrameError
from carillon.platforms.connectors.simulator.server import SimulatorServer
from tests.conformance.connectors.harness import ImpatientClock, Sink, eventually


def accept(message_id: str, peer: str = "p", at: float = 1.0, number: int = 1) -> dict[str, object]:
    names = {"platform": "whatsapp", "account": "a", "peer": peer}
    return {"t": "accept", "at": at, **names, "key": 1, "id": message_id, "pid": f"w{number}", "text": "x"}


def told(seq: int, body: dict[str, str], *, stop: bool) -> dict[str, object]:
    names = {"platform": "whatsapp", "account": "a"}
    return {"t": "update", "at": 1.0, **names, "seq": seq, "u": body, "stop": stop, "of": "", "i": 0}


def test_duplicates_and_late_sends_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", fsync=True)
    ledger.append(accept("m1"))
    ledger.append(accept("m1", number=2))
    stop = {"kind": "message", "sender": "p", "chat": "p", "text": "STOP"}
    ledger.append(told(1, stop, stop=True))
    ledger.append(accept("m2", at=2.0, number=3))
    ledger.append({"t": "ack", "at": 5.0, "platform": "whatsapp", "account": "a", "seq": 1})
    ledger.append(accept("m3", at=7.5, number=4))
    ledger.append(accept("m4", peer="other", at=8.0, number=5))
    ledger.close()
    summary = read_ledger(tmp_path / "l")
    assert {name: len(copies) for name, copies in summary.accepted.items()} == {"m1": 2, "m2": 1, "m3": 1, "m4": 1}
    assert summary.duplicates == ("m1",)
    assert summary.opt_out_acked_at == {("whatsapp", "p"): 5.0}
    assert [(late.message_id, late.seconds) for late in summary.to_opted_out] == [("m3", 2.5)]
    assert (summary.replies, summary.stops, summary.blocks, summary.unacked) == (1, 1, 0, 0)


async def test_what_was_answered_is_in_the_file(tmp_path: Path) -> None:
    server = SimulatorServer(tmp_path / "l")
    connector = SimulatorConnector(await server.start(), Platform.WHATSAPP)
    session = await connector.open(AccountConfig(uuid7(), Platform.WHATSAPP, "a"), Sink())
    message = Outbound(uuid7(), 1, "p", "hello")
    await session.send(message)
    assert set(read_ledger(tmp_path / "l").accepted) == {str(message.id)}
    await session.close()
    await server.close()


def test_a_record_cut_off_by_a_crash_is_dropped_and_the_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "l"
    ledger = Ledger(path)
    ledger.append(accept("m1"))
    ledger.close()
    path.write_bytes(path.read_bytes() + b'{"t":"accept","at":2.0,"acc')
    again = Ledger(path)
    again.append(accept("m2", number=2))
    again.close()
    assert set(read_ledger(path).accepted) == {"m1", "m2"}


def test_a_damaged_ledger_is_not_read_as_a_shorter_one(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(b"damaged\n")
    with pytest.raises(FrameError, match="byte 8"):
        read_ledger(tmp_path / "l")


def test_a_ledger_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none").accepted == {}


async def start(path: Path, *flags: str) -> tuple[asyncio.subprocess.Process, str]:
    module = "carillon.platforms.connectors.simulator"
    command = (sys.executable, "-m", module, "--ledger", str(path), *flags)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    return process, (await process.stdout.readline()).decode().strip()


async def test_the_process_survives_kill_9_with_everything_it_answered(tmp_path: Path) -> None:
    path, sink = tmp_path / "l", Sink()
    flags: tuple[str, ...] = (
        "--delivered-rate",
        "1",
        "--delivered-seconds",
        "0.01",
        "--reply-rate",
        "1",
        "--stop-rate",
        "0.5",
    )
    flags = (*flags, "--block-rate", "0.3", "--reply-seconds", "0.01")
    process, address = await start(path, *flags)
    port = address.rpartition(":")[2]
    connector = SimulatorConnector(address, Platform.TELEGRAM, clock=ImpatientClock())
    messages = [Outbound(uuid7(), key, f"p{key}", "hello") for key in range(50)]
    try:
        # The first session takes no update; everything it was told must come to the second one.
        deaf = Sink(trouble=[OSError("away")] * 1_000_000)
        first = await connector.open(AccountConfig(uuid7(), Platform.TELEGRAM, "a"), deaf)
        answers = await asyncio.gather(*(first.send(message) for message in messages))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert set(read_ledger(path).accepted) == {str(message.id) for message in messages}
        await first.close()
        process, address = await start(path, *flags, "--port", port)
        second = await connector.open(AccountConfig(uuid7(), Platform.TELEGRAM, "a"), sink)
        resent = await asyncio.gather(*(second.send(message) for message in messages))
        assert [one.platform_id for one in resent] == [one.platform_id for one in answers]
        async with SimulatorAdmin(address) as admin:

            async def quiet() -> bool:
                return await admin.quiesce() == (0, 0)

            await eventually(quiet)
        await second.close()
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    summary = read_ledger(path)
    assert (len(summary.accepted), summary.duplicates, summary.resends) == (50, (), 50)
    assert len(sink.of(StatusUpdate)) == 50
    assert len(sink.of(InboundMessage)) == summary.replies == 50
    assert len(sink.of(Blocked)) == summary.blocks > 0
    assert 0 < summary.stops < 50
    assert len(summary.opt_out_acked_at) >= summary.stops
    assert {UUID(name) for name in summary.accepted} == {message.id for message in messages}


@pytest.mark.parametrize(
    ("flags", "named"),
    [(("--flood-rate", "7"), "flood_rate"), (("--speed", "0"), "--speed"), (("--behaviour", "none"), "none")],
)
def test_a_wrong_flag_ends_the_program_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], named: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--ledger", str(tmp_path / "l"), *flags])
    assert caught.value.code == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "l").exists()
