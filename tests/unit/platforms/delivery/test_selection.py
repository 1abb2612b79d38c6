"""Which messages the dispatcher lets go, and how long it waits for the next."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from carillon.ops.settings import Settings
from carillon.platforms.connectors.port import Limits, Rate
from carillon.platforms.delivery.contracts import DIRECT_LANE, Lease, MessageKind
from carillon.platforms.delivery.dispatcher import Dispatcher
from carillon.platforms.delivery.line import Line
from carillon.platforms.delivery.repository import DueRow
from tests.fakes.ledger_connector import LedgerConnector


class StoppedClock:
    def boottime(self) -> float:
        return 100.0


def dispatcher(rate: float) -> Dispatcher:
    settings = Settings(tenant_messages_per_second=rate)
    resources = SimpleNamespace(settings=settings, clock=StoppedClock())
    return Dispatcher(cast("Any", resources), uuid4(), lambda: True)


def add_line(to: Dispatcher, tenant: UUID, messages: int) -> Line:
    account = uuid4()
    fast = Limits(account=Rate(1_000, 1, burst=1_000))
    line = Line(Lease(tenant, account, 1), cast("Any", None), None, LedgerConnector(), cast("Any", None), fast)
    to.add(line, [])
    for number in range(messages):
        row = DueRow(
            tenant, uuid4(), account, uuid4(), DIRECT_LANE, "telegram", f"{number}", MessageKind.NOTICE, None, "x", None
        )
        line.enqueue(row)
    return line


def test_all_accounts_of_a_tenant_together_keep_to_its_rate() -> None:
    limited, tenant, other = dispatcher(4), uuid4(), uuid4()
    for owner in (tenant, tenant, other):
        add_line(limited, owner, 3)
    rows, wait = limited._select(tenant)
    assert len(rows) == 4
    assert 0 < wait <= 0.25
    assert limited._select(tenant)[0] == []
    assert len(limited._select(other)[0]) == 3


def test_without_a_rate_all_go() -> None:
    free, tenant = dispatcher(0), uuid4()
    for _ in range(2):
        add_line(free, tenant, 4)
    assert len(free._select(tenant)[0]) == 8


def test_a_busy_account_leaves_room_for_the_others() -> None:
    free, tenant = dispatcher(0), uuid4()
    busy = add_line(free, tenant, 2_000)
    busy.window = 2_000
    quiet = add_line(free, tenant, 3)
    rows, _ = free._select(tenant)
    assert sum(row.account_id == quiet.lease.account_id for row in rows) == 3


def test_small_batches_wait_while_others_are_authorised() -> None:
    free, tenant = dispatcher(0), uuid4()
    line = add_line(free, tenant, 10)
    free._authorising = 1
    assert free._select(tenant)[0] == []
    free._authorising = 0
    assert len(free._select(tenant)[0]) == 10
    assert len(line.busy) == 10


def test_a_peer_with_a_message_on_its_way_waits_for_its_turn() -> None:
    free, tenant = dispatcher(0), uuid4()
    line = add_line(free, tenant, 2)
    line.busy.add("0")
    rows, wait = free._select(tenant)
    assert [row.peer for row in rows] == ["1"]
    assert wait < 1.0
    assert len(line.queue) == 1


def test_the_window_follows_what_the_platform_takes() -> None:
    line = add_line(dispatcher(0), uuid4(), 0)
    first = line.window
    for _ in range(1_000):
        line.measure(0.01)
    widest = line.window
    for _ in range(1_000):
        line.measure(0.9)
    assert line.window < first < widest
