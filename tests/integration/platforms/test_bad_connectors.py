"""A connector that raises anything, answers nonsense, hangs or lies stalls no other account and spoils no ledger.

Each test runs a worker with a good connector and a bad one: everything of the good one must go out once, and what the
bad one had must end in a state that its own behaviour allows, with a reason a person can read.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.errors import (
    AccountError,
    FailureClass,
    Flooded,
    LeaseLost,
    NotSent,
    Rejected,
    Uncertain,
)
from carillon.platforms.connectors.port import (
    Accepted,
    AccountState,
    AccountUpdate,
    Blocked,
    Capabilities,
    InboundMessage,
    Limits,
    Outbound,
    Rate,
    Status,
    StatusUpdate,
)
from carillon.platforms.delivery import api, distrust, leases, resting, wire, worker
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fakes.bad_connectors import BadConnector, BadSession, hang, hang_stubbornly
from tests.fakes.ledger_connector import LedgerConnector
from tests.fixtures.delivery import add_account, add_people, quiet_off, running_worker

NOW = datetime.now(UTC)
MANY = 12
GOOD = 30


class Odd(BaseException):
    """Neither an `Exception` nor one of Python's own."""


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs hangs for tenths of seconds here."""
    monkeypatch.setattr(wire, "PATIENCE", 0.3)
    monkeypatch.setattr(worker, "_OPEN_TIMEOUT", 0.5)
    monkeypatch.setattr(worker, "_CLOSE_TIMEOUT", 0.2)
    monkeypatch.setattr(distrust, "LEAVING", 0.1)
    monkeypatch.setattr(resting, "_PAUSES", (0.3,))
    monkeypatch.setattr(resting, "PATIENT_FOR", 0.1)


@pytest.fixture
async def tenant(tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]") -> UUID:
    await quiet_off(owner, tenant)
    return tenant


async def queue(database: Database, tenant: UUID, account: UUID, count: int) -> None:
    """So many direct messages of an account, each to another person."""
    async with database.transaction(tenant) as tx:
        people = await add_people(tx, count, consents={"service": {"*": {"status": "granted", "until": None}}})
        await tx.execute(
            "INSERT INTO platforms.message (tenant_id, id, account_id, contact_id, lane, platform, peer, kind, "
            "priority, body, state, due_at) "
            "SELECT :t, gen_random_uuid(), :a, p, '00000000-0000-0000-0000-000000000000', 'telegram', 'peer-' || p, "
            "'notice', 3, 'hello', 'queued', now() FROM unnest(CAST(:people AS uuid[])) AS p",
            {"t": tenant, "a": account, "people": people},
        )


async def rows(database: Database, tenant: UUID, account: UUID) -> list[Any]:
    async with database.transaction(tenant) as tx:
        return list(
            await tx.all(
                "SELECT id, state, reason, reason_text, platform_id, sent_at, due_at, attempts FROM platforms.message "
                "WHERE account_id = :a ORDER BY id",
                {"a": account},
            )
        )


async def account_row(database: Database, tenant: UUID, account: UUID) -> Any:
    async with database.transaction(tenant) as tx:
        return await tx.first("SELECT state, reason, wait_until FROM platforms.account WHERE id = :a", {"a": account})


async def until(holds: Callable[[], Coroutine[Any, Any, bool]], seconds: float = 45.0) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - another process's work: the database's
            await asyncio.sleep(0.05)


class Field:
    """A worker with a good account, and bad ones: each connector misbehaves in its own way."""

    def __init__(self, resources: Resources, tenant: UUID, bad: BadConnector | Mapping[str, BadConnector]) -> None:
        self.resources, self.database, self.tenant = resources, resources.database, tenant
        self.all = {"bad": bad} if isinstance(bad, BadConnector) else dict(bad)
        self.bad = next(iter(self.all.values()))
        self.good = LedgerConnector()
        self.spoiled: dict[str, list[UUID]] = {}

    async def prepare(self, messages: int, spoiled: int = 1) -> None:
        async with self.database.transaction(self.tenant) as tx:
            # The bad ones come first in every order.
            for name in self.all:
                self.spoiled[name] = [await add_account(tx, connector=name) for _ in range(spoiled)]
            self.sound = await add_account(tx)
        for spoiled_ones in self.spoiled.values():
            for account in spoiled_ones:
                await queue(self.database, self.tenant, account, messages)
        await queue(self.database, self.tenant, self.sound, GOOD)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with running_worker(self.resources, {**self.all, "ledger": self.good}):
            yield

    async def good_ones_went_out(self) -> bool:
        return all(row["state"] == "sent" for row in await rows(self.database, self.tenant, self.sound))

    async def bad_rows(self, name: str | None = None) -> list[Any]:
        ids = self.spoiled[name] if name else [one for found in self.spoiled.values() for one in found]
        return [row for account in ids for row in await rows(self.database, self.tenant, account)]

    async def settled(self, *states: str) -> bool:
        return all(row["state"] in states for row in await self.bad_rows())

    async def account(self, name: str = "bad") -> Any:
        return await account_row(self.database, self.tenant, self.spoiled[name][0])

    async def accounts_are(self, state: str) -> bool:
        return all([(await self.account(name))["state"] == state for name in self.all])

    def check_good(self) -> None:
        assert len(self.good.accepted) == GOOD
        assert len({message.id for message in self.good.accepted}) == GOOD


def raising(error: Any) -> Callable[[BadSession, Outbound], Any]:
    async def send(_session: BadSession, _message: Outbound) -> Accepted:
        raise error() if isinstance(error, type) or callable(error) else error

    return send


def answering(answer: Any) -> Callable[[BadSession, Outbound], Any]:
    async def send(_session: BadSession, _message: Outbound) -> Any:
        return answer

    return send


def plain(_session: BadSession, _message: Outbound) -> Any:
    """Not even a coroutine function."""
    return "sent, I promise"


class Unreadable(Accepted):
    """Its fields raise."""

    @property
    def platform_id(self) -> str:
        raise ValueError


UNKNOWN: dict[str, Callable[[BadSession, Outbound], Any]] = {
    "exception group": raising(lambda: ExceptionGroup("two", [ValueError(), OSError()])),
    "base exception group": raising(lambda: BaseExceptionGroup("odd", [Odd()])),
    "odd base exception": raising(Odd),
    "system exit": raising(SystemExit),
    "cancels itself": raising(asyncio.CancelledError),
    "generator exit": raising(GeneratorExit),
    "stop async iteration": raising(StopAsyncIteration),
    "recursion": raising(RecursionError),
    "none": answering(None),
    "text": answering("ok"),
    "not awaitable": plain,
    "unreadable": answering(Unreadable("1", NOW)),
    "hangs": lambda *_: hang(),
    "uncertain with a novel": raising(lambda: Uncertain("\0" + "x" * 1_000_000)),
}


async def test_what_makes_no_sense_is_unknown_and_never_sent_again(worker_resources: Resources, tenant: UUID) -> None:
    field = Field(worker_resources, tenant, {name: BadConnector(send) for name, send in UNKNOWN.items()})
    await field.prepare(MANY)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("unknown"))
    field.check_good()
    for name, connector in field.all.items():
        assert len(connector.attempts) == len({message.id for message in connector.attempts}) == MANY, name
        for row in await field.bad_rows(name):
            assert row["reason"] == "uncertain", name
            assert 5 < len(row["reason_text"]) <= 500, name


RECEIPTS: dict[str, Any] = {
    "no id": (None, NOW),
    "a number": (4711, NOW),
    "a megabyte": ("i" * 1_000_000, NOW),
    "nul": ("a\0b", NOW),
    "half a surrogate pair": ("a\ud800b", NOW),
    "naive": ("n", datetime(2026, 1, 1)),  # noqa: DTZ001 - that is the point
    "the year 9999": ("y", datetime(9999, 12, 31, tzinfo=UTC)),
    "1970": ("z", datetime(1970, 1, 1, tzinfo=UTC)),
    "no time": ("t", None),
}


async def test_an_odd_receipt_is_still_a_receipt(worker_resources: Resources, tenant: UUID) -> None:
    receipts = {name: BadConnector(answering(Accepted(*given))) for name, given in RECEIPTS.items()}
    field = Field(worker_resources, tenant, receipts)
    await field.prepare(3)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("sent"))
    field.check_good()
    for row in await field.bad_rows():
        assert row["platform_id"] is None or len(row["platform_id"]) <= 400
        assert datetime(2009, 1, 1, tzinfo=UTC) < row["sent_at"] < datetime.now(UTC) + timedelta(days=2)
    assert {row["platform_id"] for row in await field.bad_rows("a number")} == {"4711"}


WAITS: list[Any] = [math.nan, math.inf, -5, 1e12, 10**400, "soon", None]


def flooding(wait: Any) -> BadConnector:
    return BadConnector(raising(lambda: Flooded(retry_after=wait)))


async def test_a_flood_of_any_length_ends_within_a_week(worker_resources: Resources, tenant: UUID) -> None:
    field = Field(worker_resources, tenant, {f"wait {number}": flooding(wait) for number, wait in enumerate(WAITS)})
    await field.prepare(2)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.accounts_are("flooded"))
        await until(lambda: field.settled("queued"))
    field.check_good()
    for name in field.all:
        account = await field.account(name)
        assert datetime.now(UTC) < account["wait_until"] < datetime.now(UTC) + timedelta(days=8), name
    assert all(row["due_at"] < datetime.now(UTC) + timedelta(days=8) for row in await field.bad_rows())


LONG = "\0" + "why " * 300_000


ODD_FIELDS: dict[str, tuple[Callable[[], Exception], str, str]] = {
    "long": (lambda: Rejected(LONG, failure=FailureClass.CONTENT, platform_code="9" * 10_000), "failed", "content:99"),
    "class": (lambda: Rejected(LONG, failure="sunspots"), "failed", "platform"),  # type: ignore[arg-type] # the point
    "word": (lambda: Rejected(None, failure=FailureClass.BLOCKED, opt_out="no"), "failed", "blocked"),  # type: ignore[arg-type]
    "banned": (lambda: AccountError(LONG, state=AccountState.BANNED), "held", "account_banned"),
    "lease": (lambda: LeaseLost("so I say"), "unknown", "interrupted"),
}


async def test_errors_with_odd_fields(worker_resources: Resources, tenant: UUID) -> None:
    connectors = {name: BadConnector(raising(error)) for name, (error, _, _) in ODD_FIELDS.items()}
    field = Field(worker_resources, tenant, connectors)
    await field.prepare(2)

    async def as_expected() -> bool:
        # The clock's work: an account that claims to be another's is parked, and its messages settled.
        await api.sweep(worker_resources)
        return all(
            [
                any(row["state"] == wanted[1] for row in await field.bad_rows(name))
                for name, wanted in ODD_FIELDS.items()
            ]
        )

    async with field.running():
        await until(field.good_ones_went_out)
        await until(as_expected)
        await until(lambda: field.settled("failed", "held", "unknown"))
    field.check_good()
    for name, (_, state, reason) in ODD_FIELDS.items():
        found = [row for row in await field.bad_rows(name) if row["state"] == state]
        assert found, name
        assert all(row["reason"].startswith(reason) and len(row["reason_text"]) <= 500 for row in found), name
    async with field.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM audience.contact WHERE opted_out_at IS NOT NULL") == 0


STATES: list[Any] = [AccountState.ONLINE, AccountState.NEW, AccountState.DEGRADED, "weird", None, 7]


def claiming(state: Any) -> BadConnector:
    return BadConnector(raising(lambda: AccountError("hm", state=state)))


async def test_an_account_error_that_stops_nothing_holds_nothing(worker_resources: Resources, tenant: UUID) -> None:
    """Held messages are released when the account is online again: one that never left would keep them for ever."""
    field = Field(worker_resources, tenant, {f"state {number}": claiming(state) for number, state in enumerate(STATES)})
    await field.prepare(2)

    async def tried() -> bool:
        return all(row["attempts"] > 0 and row["state"] == "queued" for row in await field.bad_rows())

    async with field.running():
        await until(field.good_ones_went_out)
        await until(tried)
    field.check_good()


async def test_one_id_for_all_messages_confuses_no_statuses(worker_resources: Resources, tenant: UUID) -> None:
    field = Field(worker_resources, tenant, BadConnector(answering(Accepted("always me", NOW))))
    await field.prepare(3)
    async with field.running():
        await until(lambda: field.settled("sent"))
        sink = field.bad.sessions[0].sink
        await sink.accept([StatusUpdate(Status.READ, NOW, platform_id="always me")])
        mine = field.bad.attempts[0].id
        await sink.accept([StatusUpdate(Status.DELIVERED, NOW, message_id=mine, platform_id="always me")])
        await until(field.good_ones_went_out)
    states = {row["id"]: row["state"] for row in await field.bad_rows()}
    assert Counter(states.values()) == {"sent": 2, "delivered": 1}
    assert states[mine] == "delivered"


async def fails_to_open(_account: Any, _sink: Any) -> Any:
    raise KeyError("config")


async def exits(_account: Any, _sink: Any) -> Any:
    raise SystemExit(3)


async def cancels(_account: Any, _sink: Any) -> Any:
    raise asyncio.CancelledError


async def says_online(_account: Any, _sink: Any) -> Any:
    raise AccountError("fine", state=AccountState.ONLINE)


async def gives(_account: Any, _sink: Any) -> Any:
    return 42


async def refused(_account: Any, _sink: Any) -> Any:
    raise ConnectionRefusedError(111, "Connection refused")


async def not_sent(_account: Any, _sink: Any) -> Any:
    raise NotSent("the gateway sleeps")


OPENS = (fails_to_open, exits, cancels, says_online, gives, refused, not_sent, hang, hang_stubbornly)


async def test_what_cannot_be_opened_keeps_nobody_waiting(worker_resources: Resources, tenant: UUID) -> None:
    """More than open at once, before the good one: they give up their turn and rest between tries."""
    connectors = {one.__name__: BadConnector(answering(None), on_open=one) for one in OPENS}
    field = Field(worker_resources, tenant, connectors)
    await field.prepare(1, spoiled=6)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.accounts_are("degraded"))
    field.check_good()
    for name, connector in field.all.items():
        assert (await field.account(name))["reason"], name
        assert connector.opens < 6 * 60, name
    assert await field.settled("queued")


CLOSES = (hang, hang_stubbornly, fails_to_open, exits, cancels)


def closing_with(close: Callable[..., Any]) -> BadConnector:
    return BadConnector(answering(Accepted("1", NOW)), on_close=lambda: close(None, None))


async def test_a_close_that_fails_keeps_nobody_open(worker_resources: Resources, tenant: UUID) -> None:
    field = Field(worker_resources, tenant, {one.__name__: closing_with(one) for one in CLOSES})
    await field.prepare(1)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("sent"))
    assert all(connector.sessions[0].closes == 1 for connector in field.all.values())
    assert all(session.closed for session in field.good.sessions)


def boom() -> Limits:
    raise ZeroDivisionError


LIMITS: list[Any] = [
    None,
    "fast",
    Limits(account=Rate(0, 0.0)),
    Limits(account=Rate(math.nan, 1.0)),
    Limits(None),  # type: ignore[arg-type] # that is the point
]


async def test_limits_that_make_no_sense_are_replaced_by_cautious_ones(
    worker_resources: Resources, tenant: UUID
) -> None:
    fine = answering(Accepted("1", NOW))
    connectors = {f"limits {number}": BadConnector(fine, allowed=allowed) for number, allowed in enumerate(LIMITS)}
    field = Field(worker_resources, tenant, {"boom": BadConnector(fine, allowed=boom), **connectors})
    await field.prepare(1)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("sent"))


async def test_only_a_plain_promise_of_deduplication_counts(worker_resources: Resources, tenant: UUID) -> None:
    said: list[Any] = [None, "yes", Capabilities(deduplicates="maybe")]  # type: ignore[arg-type] # the point
    promises = {f"promise {number}": BadConnector(raising(Uncertain), said=one) for number, one in enumerate(said)}
    field = Field(worker_resources, tenant, promises)
    await field.prepare(2)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("unknown"))
    assert [len(connector.attempts) for connector in field.all.values()] == [2, 2, 2]


async def test_a_false_promise_of_deduplication_still_settles_each_message_once(
    worker_resources: Resources, tenant: UUID
) -> None:
    """The platform has it twice then: nobody but the connector could know. Our ledger says sent, once."""
    tried: Counter[UUID] = Counter()

    async def send(_session: BadSession, message: Outbound) -> Accepted:
        tried[message.id] += 1
        if tried[message.id] == 1:
            raise Uncertain
        return Accepted(f"{message.id}", NOW)

    field = Field(worker_resources, tenant, BadConnector(send, said=Capabilities(deduplicates=True)))
    await field.prepare(3)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("sent"))
    assert set(tried.values()) == {2}
    assert [row["attempts"] for row in await field.bad_rows()] == [1, 1, 1]


def person(number: int, **changes: Any) -> InboundMessage:
    values: dict[str, Any] = {
        "chat": f"{10_000 + number}",
        "sender": f"{10_000 + number}",
        "platform_id": f"in-{number}",
        "text": "hello",
        "at": NOW,
    }
    return InboundMessage(**{**values, **changes})


async def test_garbage_updates_are_passed_over_and_the_others_come_in(
    worker_resources: Resources, tenant: UUID, other_tenant: UUID
) -> None:
    field = Field(worker_resources, tenant, BadConnector(answering(Accepted("1", NOW))))
    await field.prepare(1)
    garbage: list[Any] = [
        None,
        "hello",
        object(),
        StatusUpdate(Status.READ, NOW),
        StatusUpdate("eaten", NOW, platform_id="1"),  # type: ignore[arg-type]
        StatusUpdate(Status.READ, None, message_id="no uuid"),  # type: ignore[arg-type]
        StatusUpdate(Status.READ, NOW, message_id=uuid7()),
        StatusUpdate(Status.READ, NOW, platform_id="\0" + "p" * 1_000_000),
        AccountUpdate("weird", "", NOW),  # type: ignore[arg-type]
        AccountUpdate(AccountState.DEGRADED, "\0" + "r" * 1_000_000, datetime(9999, 1, 1, tzinfo=UTC), math.nan),
        Blocked("", NOW),
        Blocked("no address at all!", NOW),
        person(1, sender=""),
        person(2, sender="-100 not an address"),
        person(3, chat=None),
        person(4, text="a\0b\ud800c", at=datetime(1970, 1, 1), sender_name="\udfff"),  # noqa: DTZ001
        person(5, raw={"nul": "\0", "self": object()}),
        person(6, raw="no mapping", reply_to="\0"),
        person(7, text="x" * 1_000_000, platform_id="i" * 1_000_000),
        person(8),
    ]
    async with field.running():
        await until(lambda: field.settled("sent"))
        sink = field.bad.sessions[0].sink
        for handed in (None, 7, "updates", {"a": 1}):
            await sink.accept(handed)  # type: ignore[arg-type]
        await sink.accept(garbage, {"ok": b"1", "": b"2", 3: b"4", "text": "no bytes"})  # type: ignore[dict-item]
        await sink.accept(garbage, "no mapping")  # type: ignore[arg-type]
        await until(field.good_ones_went_out)
    async with field.database.transaction(tenant) as tx:
        came = await tx.all("SELECT platform_id, body, sent_at FROM platforms.inbound_message ORDER BY platform_id")
        kept = await tx.all("SELECT key, value FROM platforms.account_sync")
    assert {row["platform_id"][:5] for row in came} == {"in-4", "in-5", "in-6", "in-8", "iiiii"}
    assert next(row["body"] for row in came if row["platform_id"] == "in-4") == "ab?c"
    assert [(row["key"], row["value"]) for row in kept] == [("ok", b"1")]
    account = await field.account()
    assert account["state"] == "degraded"
    assert len(account["reason"]) <= 500
    assert [row["state"] for row in await field.bad_rows()] == ["sent"]


async def test_nobody_settles_the_messages_of_others(
    worker_resources: Resources, tenant: UUID, other_tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    field = Field(worker_resources, tenant, BadConnector(answering(Accepted("1", NOW))))
    await field.prepare(1)
    async with field.database.transaction(other_tenant) as tx:
        foreign_account = await add_account(tx, parked=True)
    await queue(field.database, other_tenant, foreign_account, 2)
    foreign = [row["id"] for row in await rows(field.database, other_tenant, foreign_account)]
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("sent"))
        sibling = [row["id"] for row in await rows(field.database, tenant, field.sound)]
        ids = {row["platform_id"] for row in await rows(field.database, tenant, field.sound)}
        sink = field.bad.sessions[0].sink
        for message_id in (*foreign, *sibling):
            await sink.accept([StatusUpdate(Status.FAILED, NOW, message_id=message_id, error_class="content")])
        await sink.accept([StatusUpdate(Status.READ, NOW, platform_id=platform_id) for platform_id in ids])
    assert {row["state"] for row in await rows(field.database, other_tenant, foreign_account)} == {"queued"}
    assert {row["state"] for row in await rows(field.database, tenant, field.sound)} == {"sent"}


async def test_a_hundred_thousand_updates_at_once_keep_nobody_waiting(
    worker_resources: Resources, tenant: UUID
) -> None:
    field = Field(worker_resources, tenant, BadConnector(answering(Accepted("1", NOW))))
    await field.prepare(1)
    async with field.running():
        await until(lambda: field.settled("sent"))
        mine = field.bad.attempts[0].id
        flood = [
            StatusUpdate(Status.READ, NOW, message_id=mine),
            *[StatusUpdate(Status.READ, NOW, message_id=uuid7())] * 99_999,
        ]
        handing = asyncio.create_task(field.bad.sessions[0].sink.accept(flood, {"position": b"100000"}))
        await queue(field.database, tenant, field.sound, 5)
        await until(field.good_ones_went_out)
        await handing
    assert [row["state"] for row in await field.bad_rows()] == ["read"]


async def test_after_its_end_a_session_hands_in_nothing_more(worker_resources: Resources, tenant: UUID) -> None:
    field = Field(worker_resources, tenant, BadConnector(answering(Accepted("1", NOW))))
    await field.prepare(1)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("sent"))
    with pytest.raises(LeaseLost):
        await field.bad.sessions[0].sink.accept([person(1)])
    async with field.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM platforms.inbound_message") == 0


async def test_a_session_that_opens_after_all_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = asyncio.Event()

    class Late:
        async def send(self, _message: Outbound) -> Accepted:
            raise AssertionError

        async def close(self) -> None:
            closed.set()

    async def open_late(_account: Any, _sink: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Late()

    connector: Any = BadConnector(answering(None), on_open=open_late)
    with pytest.raises(AccountError, match="could not be opened"):
        await distrust.opened(connector, None, None, 0.01)  # type: ignore[arg-type] # they are only passed on
    await asyncio.wait_for(closed.wait(), 5)


async def test_an_account_that_is_parked_while_it_hangs_costs_nobody_else_the_lease(
    worker_resources: Resources, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handing it over waits for what is on the wire, for a minute; the renewals and the other accounts must not."""
    monkeypatch.setattr(wire, "PATIENCE", 8.0)
    monkeypatch.setattr(leases, "SAFE", 4.0)
    monkeypatch.setattr(leases, "RENEW_EVERY", 0.2)
    field = Field(worker_resources, tenant, BadConnector(lambda *_: hang()))
    await field.prepare(1)
    async with field.running():
        await until(field.good_ones_went_out)
        await until(lambda: field.settled("sending"))
        async with field.database.transaction(tenant) as tx:
            await accounts.park(tx, system_subject(tenant), field.spoiled["bad"][0])
        await until(lambda: field.settled("unknown"))
        await queue(field.database, tenant, field.sound, 5)
        await until(field.good_ones_went_out)
