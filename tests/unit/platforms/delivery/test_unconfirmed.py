"""An unknown outcome becomes unconfirmed when no status came for a quarter of an hour."""

from datetime import UTC, datetime, timedelta

import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.delivery.contracts import Message, MessageKind, MessageState


def message(state: MessageState, age: timedelta | None) -> Message:
    now = datetime.now(UTC)
    return Message(
        id=uuid7(),
        account_id=uuid7(),
        contact_id=uuid7(),
        campaign_id=None,
        platform="whatsapp",
        peer="+491511234567",
        kind=MessageKind.REPLY,
        variant=None,
        body="hello",
        state=state,
        reason=None,
        reason_text=None,
        platform_id=None,
        attempts=1,
        due_at=now,
        created_at=now,
        sending_at=None if age is None else now - age,
        sent_at=None,
        delivered_at=None,
        read_at=None,
        actor_id=None,
    )


@pytest.mark.parametrize(
    ("state", "minutes", "expected"),
    [
        (MessageState.UNKNOWN, 14, False),
        (MessageState.UNKNOWN, 16, True),
        (MessageState.UNKNOWN, None, False),
        (MessageState.SENT, 16, False),
        (MessageState.SENDING, 16, False),
    ],
)
def test_unconfirmed(state: MessageState, minutes: int | None, expected: bool) -> None:
    age = None if minutes is None else timedelta(minutes=minutes)
    assert message(state, age).unconfirmed is expected
