"""Which messages the dispatcher lets go, and how long it waits for the next."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from carillon.ops.settings import Settings
from carillon.platforms.connectors.port import Limits, Rate
from carillon.platforms.delivery.contracts import DIRECT_LANE, Lease, MessageKind
from carillon.platforms.delivery.dispatcher import Dispatcher, Line
from carillon.platforms.delivery.repository import DueRow
from tests.fakes.ledger_connector import LedgerConnector


class StoppedClock:
    def boottime(self) -> float:
        return 100.0


def dispatcher(rate: float) -> Dispatcher:
    settings = Settings(tenant_messages_per_second=rate)
    resources = SimpleNamespace(settings=settings, clock=StoppedClock())
    return Dispatcher(cast("Any", resources), uuid4(), lambda: True)


def add_line(to: Dispatcher, tenant: UUID, messages: int) -> None:
    account = uuid4()
    fast = Limits(account=Rate(1_000, 1, burst=1_000))
    line = Line(Lease(tenant, account, 1), cast("Any", None), None, LedgerConnector(), cast("Any", None), fast)
    to.add(line, [])
    for number in range(messages):
        row = DueRow(
            tenant, uuid4(), account, uuid4(), DIRECT_LANE, "telegram", f"{number}", MessageKind.NOTICE, None, "x", None
        )
        to._enqueue(line, row)


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
