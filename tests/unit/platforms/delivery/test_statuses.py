"""Statuses come twice, late and out of order; the result must not depend on it."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from carillon.platforms.connectors.port import Status, StatusUpdate
from carillon.platforms.delivery.statuses import Merged, fold

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
UPDATES = st.lists(
    st.builds(
        StatusUpdate,
        status=st.sampled_from([Status.SENT, Status.DELIVERED, Status.READ]),
        at=st.integers(0, 100).map(lambda seconds: EPOCH + timedelta(seconds=seconds)),
        platform_id=st.just("p1"),
    ),
    min_size=1,
    max_size=5,
)


def folded(updates: list[StatusUpdate]) -> Merged:
    merged: Merged | None = None
    for update in updates:
        merged = fold(merged, update)
    assert merged is not None
    return merged


@given(UPDATES)
def test_any_order_and_any_number_of_copies_give_the_same(updates: list[StatusUpdate]) -> None:
    expected = folded(updates)
    assert all(folded(list(order)) == expected for order in permutations(updates))
    assert folded(updates + updates) == expected


def test_delivered_beats_failed_and_read_beats_delivered() -> None:
    failed = StatusUpdate(Status.FAILED, EPOCH, platform_id="p1", error_class="recipient")
    delivered = StatusUpdate(Status.DELIVERED, EPOCH, platform_id="p1")
    read = StatusUpdate(Status.READ, EPOCH, platform_id="p1")
    assert folded([delivered, failed]).status is Status.DELIVERED
    assert folded([failed, delivered]).status is Status.DELIVERED
    assert folded([read, failed, delivered]).status is Status.READ
    assert folded([failed]).reason == "recipient"
