"""Updates between the wire and the sink."""

import asyncio

from carillon.platforms.connectors.errors import LeaseLost
from carillon.platforms.connectors.port import Blocked
from carillon.platforms.connectors.simulator.inbox import Inbox
from carillon.platforms.connectors.simulator.protocol import Frame
from tests.conformance.connectors.harness import ImpatientClock, Sink, eventually


class Events:
    """An inbox and what it reports."""

    def __init__(self, sink: Sink) -> None:
        self.accepted: list[int] = []
        self.lost: list[LeaseLost] = []
        clock = ImpatientClock()
        self.inbox = Inbox(sink, clock=clock, on_accepted=self.accepted.append, on_lease_lost=self.lost.append)


def blocks(*numbers: int) -> list[Frame]:
    return [{"seq": number, "at": 1.0, "kind": "blocked", "peer": str(number)} for number in numbers]


def peers(sink: Sink) -> list[str]:
    return [update.peer for update in sink.kept if isinstance(update, Blocked)]


async def test_what_a_second_connection_repeats_is_handed_on_once() -> None:
    sink = Sink()
    it = Events(sink)
    it.inbox.put(blocks(1, 2, 3))
    it.inbox.put(blocks(2, 3, 4))
    task = asyncio.create_task(it.inbox.deliver())
    await eventually(lambda: it.inbox.accepted == 4)
    assert peers(sink) == ["1", "2", "3", "4"]
    assert it.accepted == [4]
    task.cancel()


async def test_nothing_is_confirmed_that_the_sink_did_not_take_before_the_end() -> None:
    sink = Sink(trouble=[OSError("away")] * 100_000)
    it = Events(sink)
    it.inbox.put(blocks(1))
    task = asyncio.create_task(it.inbox.deliver())
    await eventually(lambda: sink.calls > 3)
    it.inbox.stop()
    await task
    assert (it.accepted, it.inbox.accepted, sink.kept) == ([], 0, [])


async def test_a_lost_lease_is_reported_and_ends_the_delivery() -> None:
    sink = Sink(trouble=[OSError("away"), LeaseLost()])
    it = Events(sink)
    it.inbox.put(blocks(1))
    await it.inbox.deliver()
    assert (len(it.lost), it.accepted, sink.calls) == (1, [], 2)
