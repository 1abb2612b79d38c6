"""What each kind of answer of a platform means for the ledger."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.errors import (
    AccountError,
    FailureClass,
    Flooded,
    LeaseLost,
    NotSent,
    Rejected,
    Uncertain,
)
from carillon.platforms.connectors.port import Accepted, AccountState, Outbound
from carillon.platforms.delivery import wire
from carillon.platforms.delivery.contracts import DIRECT_LANE, MessageKind, MessageState
from carillon.platforms.delivery.ledger import Ready
from carillon.platforms.delivery.repository import DueRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class StillClock:
    def __init__(self, boottime: float = 100.0) -> None:
        self.at = boottime

    def now(self) -> datetime:
        return NOW

    def boottime(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


class Saying:
    """A session that always answers the same."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.sent: list[Outbound] = []

    async def send(self, message: Outbound) -> Accepted:
        self.sent.append(message)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[return-value] # garbage is part of the test

    async def close(self) -> None: ...


def ready(*, resend: bool = False) -> Ready:
    row = DueRow(
        uuid7(), uuid7(), uuid7(), uuid7(), DIRECT_LANE, "telegram", "p", MessageKind.REPLY, None, "x", None, resend
    )
    return Ready(row, "hello", 3)


async def outcome(
    answer: object, *, deduplicates: bool, resend: bool = False, age: float = 0.0
) -> tuple[Saying, wire.Result]:
    session, clock = Saying(answer), StillClock()
    result = await wire.attempt(
        session, ready(resend=resend), clock=clock, authorised_at=clock.at - age, deduplicates=deduplicates
    )
    return session, result


async def test_accepted_is_sent_with_the_platforms_id() -> None:
    _, result = await outcome(Accepted("p1", NOW), deduplicates=False)
    assert result.outcome is not None
    assert (result.outcome.state, result.outcome.platform_id) == (MessageState.SENT, "p1")


STATES = [
    (NotSent(), MessageState.QUEUED, MessageState.QUEUED),
    (Flooded(retry_after=60), MessageState.QUEUED, MessageState.QUEUED),
    (Rejected(failure=FailureClass.RECIPIENT), MessageState.FAILED, MessageState.FAILED),
    (AccountError(state=AccountState.BANNED), MessageState.HELD, MessageState.HELD),
    (Uncertain(), None, MessageState.UNKNOWN),
    (ValueError("a bug in the connector"), None, MessageState.UNKNOWN),
    ("garbage", None, MessageState.UNKNOWN),
    (LeaseLost(), None, None),
]


@pytest.mark.parametrize(("answer", "with_key", "without_key"), STATES, ids=lambda value: str(value)[:20])
async def test_outcomes(answer: object, with_key: MessageState | None, without_key: MessageState | None) -> None:
    for deduplicates, expected in ((True, with_key), (False, without_key)):
        _, result = await outcome(answer, deduplicates=deduplicates)
        assert (result.outcome.state if result.outcome else None) == expected
        lost = isinstance(answer, LeaseLost)
        assert result.again == (expected is None and not lost)


async def test_a_message_of_unknown_outcome_never_goes_back_to_the_queue() -> None:
    for answer in (NotSent(), Flooded(retry_after=5), Uncertain()):
        _, result = await outcome(answer, deduplicates=True, resend=True)
        assert result.again
        assert result.outcome is None
    for refusal in (AccountError(state=AccountState.BANNED), Rejected(failure=FailureClass.RECIPIENT)):
        _, result = await outcome(refusal, deduplicates=True, resend=True)
        assert result.outcome is not None
        assert result.outcome.state is MessageState.UNKNOWN


async def test_a_stale_authorisation_is_not_used() -> None:
    session, result = await outcome(Accepted("p1", NOW), deduplicates=False, age=wire.FRESH + 0.1)
    assert session.sent == []
    assert result.outcome is not None
    assert result.outcome.state is MessageState.QUEUED
    session, result = await outcome(Accepted("p1", NOW), deduplicates=True, resend=True, age=wire.FRESH + 0.1)
    assert session.sent == []
    assert result.again


async def test_every_attempt_bears_the_same_key() -> None:
    item, clock = ready(), StillClock()
    session = Saying(Uncertain())
    for _ in range(2):
        await wire.attempt(session, item, clock=clock, authorised_at=clock.at, deduplicates=True)
    assert len({message.key for message in session.sent}) == 1
    assert isinstance(item.row.id, UUID)
