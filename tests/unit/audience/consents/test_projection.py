"""The projection: the newest statement decides, and the order of hearing does not."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audience.consents.contracts import THE_PERSON, ConsentEntry, Projection
from carillon.audience.consents.projection import counts, fold, project
from carillon.kernel.ids import uuid7

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PERSON = uuid7()


def entry(action: str = "granted", platform: str = "*", days_ago: float = 1, **changes) -> ConsentEntry:
    values = {
        "contact_id": PERSON,
        "purpose": "marketing",
        "action": action,
        "source": "form",
        "at": NOW - timedelta(days=days_ago),
        "actor": THE_PERSON,
        "platform": platform,
        "proof": "https://shop.example/form/7",
    }
    return ConsentEntry(**{**values, **changes})


def statuses(*entries: ConsentEntry) -> dict[str, str]:
    projection = project(entries, NOW)
    return {platform: said["status"] for platform, said in projection.get("marketing", {}).items()}


def test_nothing_said_is_nothing_allowed():
    assert project([], NOW) == {}


def test_a_grant_is_projected_with_its_end_in_utc():
    until = datetime(2027, 1, 1, 1, 30, tzinfo=UTC).astimezone()
    said = project([entry(expires_at=until)], NOW)["marketing"]["*"]
    assert (said["status"], said["until"]) == ("granted", "2027-01-01T01:30:00+00:00")


@pytest.mark.parametrize("proof", [None, "", "  "])
def test_a_grant_without_proof_does_not_count(proof):
    assert statuses(entry(proof=proof)) == {}


def test_a_grant_from_the_future_does_not_count():
    assert statuses(entry(days_ago=-0.001)) == {}


def test_a_withdrawal_always_counts():
    assert counts(entry("withdrawn", proof=None, days_ago=-1), NOW)
    assert statuses(entry(), entry("withdrawn", proof=None, days_ago=-1)) == {"*": "withdrawn"}


def test_a_withdrawal_from_the_future_does_not_outlast_a_later_grant():
    before = project([entry("withdrawn", days_ago=-365)], NOW)
    later = fold(before, [entry(days_ago=-2)], NOW + timedelta(days=3))
    assert later["marketing"]["*"]["status"] == "granted"


def test_an_old_list_imported_today_does_not_undo_a_withdrawal():
    assert statuses(entry("withdrawn", days_ago=7), entry("granted", days_ago=300)) == {"*": "withdrawn"}


def test_a_statement_about_everything_replaces_older_ones_about_single_platforms():
    said = statuses(entry("withdrawn", "telegram", 5), entry("granted", "whatsapp", 1), entry("granted", "*", 3))
    assert said == {"*": "granted", "whatsapp": "granted"}


def test_the_stricter_of_two_statements_of_one_moment_decides():
    assert statuses(entry("withdrawn"), entry("granted")) == {"*": "withdrawn"}
    assert statuses(entry("granted"), entry("withdrawn", "telegram")) == {"*": "granted", "telegram": "withdrawn"}


def test_folding_leaves_what_was_before_alone():
    before = project([entry()], NOW)
    kept = project([entry()], NOW)
    fold(before, [entry("withdrawn", days_ago=0)], NOW)
    assert before == kept


ENTRIES = st.builds(
    entry,
    action=st.sampled_from(["granted", "withdrawn", "opted_out"]),
    platform=st.sampled_from(["*", "telegram", "whatsapp"]),
    days_ago=st.integers(-1, 4),
    purpose=st.sampled_from(["marketing", "service"]),
    proof=st.sampled_from([None, "text"]),
    expires_at=st.sampled_from([None, NOW + timedelta(days=1), NOW + timedelta(days=9)]),
)


@given(st.lists(ENTRIES, max_size=8).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_the_order_of_hearing_does_not_matter(orders):
    some, shuffled = orders
    assert project(some, NOW) == project(shuffled, NOW)


@given(st.lists(ENTRIES, max_size=8), st.lists(st.integers(0, 8), max_size=3))
def test_folding_in_batches_is_projecting_at_once(entries, cuts):
    edges = [0, *sorted(cuts), len(entries)]
    projection: Projection = {}
    for low, high in pairwise(edges):
        projection = fold(projection, entries[low:high], NOW)
        projection = fold(projection, entries[low:high], NOW)
    assert projection == project(entries, NOW)
