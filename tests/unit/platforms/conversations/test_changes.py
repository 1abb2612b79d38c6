"""What acts change, and that undo can bring back exactly what was."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.kernel.ids import uuid7
from carillon.platforms.conversations.changes import check_act, events_of, load, store, values_of
from carillon.platforms.conversations.contracts import Act, ActKind, Conversation, Priority, Status
from carillon.platforms.conversations.errors import BadAct
from carillon.platforms.conversations.text import PREVIEW, preview_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
USERS = [uuid7(), uuid7()]
STATUSES = st.sampled_from(list(Status))
CONVERSATIONS = st.builds(
    Conversation,
    id=st.just(uuid7()),
    account_id=st.just(uuid7()),
    contact_id=st.just(uuid7()),
    platform=st.just("telegram"),
    status=STATUSES,
    snoozed_until=st.none() | st.just(NOW),
    assignee_id=st.none() | st.sampled_from(USERS),
    priority=st.sampled_from(list(Priority)),
    labels=st.lists(st.sampled_from("abc"), unique=True).map(tuple),
    unread=st.integers(0, 3),
    last_at=st.just(NOW),
    last_direction=st.none(),
    last_preview=st.just(""),
    last_message_id=st.none(),
    last_state=st.none(),
    last_inbound_at=st.none(),
    last_outbound_at=st.none(),
    created_at=st.just(NOW),
    updated_at=st.just(NOW),
)
ACTS = st.builds(
    Act,
    kind=st.sampled_from(list(ActKind)),
    assignee_id=st.none() | st.sampled_from(USERS),
    until=st.just(NOW + timedelta(days=1)),
    label=st.sampled_from("abcd"),
    priority=st.sampled_from(list(Priority)),
)


@given(CONVERSATIONS, ACTS)
def test_only_what_differs_is_changed_and_told(one: Conversation, act: Act) -> None:
    values = values_of(one, act)
    assert all(getattr(one, name) != value for name, value in values.items())
    assert bool(events_of(one, values, None, "operator")) is bool(values)


@given(CONVERSATIONS, ACTS)
def test_what_was_stored_for_undo_reads_back_the_same(one: Conversation, act: Act) -> None:
    values = values_of(one, act)
    before = {name: getattr(one, name) for name in values}
    assert load(store(values)) == values
    assert load(store(before)) == before


@pytest.mark.parametrize("until", [None, NOW, NOW - timedelta(seconds=1)])
def test_nobody_snoozes_into_the_past(until: datetime | None) -> None:
    with pytest.raises(BadAct):
        check_act(Act(ActKind.SNOOZE, until=until), NOW)


@pytest.mark.parametrize("act", [Act(ActKind.LABEL), Act(ActKind.LABEL, label="a\nb"), Act(ActKind.PRIORITISE)])
def test_acts_need_their_parameters(act: Act) -> None:
    with pytest.raises(BadAct):
        check_act(act, NOW)


@given(st.text(max_size=500))
def test_previews_are_one_short_line(text: str) -> None:
    preview = preview_of(text)
    assert len(preview) <= PREVIEW
    assert "\n" not in preview
    assert "\0" not in preview
