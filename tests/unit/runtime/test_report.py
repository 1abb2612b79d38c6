"""The comparison of the two ledgers finds every kind of difference."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.simulator.ledger import LedgerSummary
from carillon.runtime.demo.report import Comparison, compare

PERSON = uuid7()


def ours(state: str, *, kind: str = "campaign", contact: UUID = PERSON) -> dict[str, Any]:
    return {"state": state, "kind": kind, "contact_id": contact}


def theirs(*accepted: str, to_opted_out: tuple[str, ...] = ()) -> LedgerSummary:
    taken: dict[str, tuple[str, ...]] = {}
    for name in accepted:
        taken[name] = (*taken.get(name, ()), name)
    late = [SimpleNamespace(message_id=name) for name in to_opted_out]
    return cast(LedgerSummary, SimpleNamespace(accepted=taken, to_opted_out=late))


@pytest.mark.parametrize("state", ["sent", "delivered", "read"])
def test_what_both_have_is_right_and_what_one_has_is_lost(state: str) -> None:
    assert compare({"a": ours(state)}, theirs("a")) == Comparison(0, 0, 0)
    assert compare({"a": ours(state)}, theirs()).lost == 1
    assert compare({}, theirs("a")).lost == 1


@pytest.mark.parametrize("state", ["queued", "sending"])
@pytest.mark.parametrize("taken", [(), ("a",)])
def test_what_is_still_open_in_the_end_is_lost(state: str, taken: tuple[str, ...]) -> None:
    assert compare({"a": ours(state)}, theirs(*taken)).lost == 1


def test_unknown_may_be_either_and_a_failure_may_come_late() -> None:
    for state in ("unknown", "failed"):
        assert compare({"a": ours(state)}, theirs()).lost == 0
        assert compare({"a": ours(state)}, theirs("a")).lost == 0
    assert compare({"a": ours("held")}, theirs()).lost == 0
    assert compare({"a": ours("held")}, theirs("a")).lost == 1


def test_every_further_copy_counts() -> None:
    assert compare({"a": ours("sent")}, theirs("a", "a", "a")).duplicated == 2


def test_one_confirmation_is_allowed_after_an_opt_out_and_nothing_else() -> None:
    first, second = ours("sent", kind="confirmation"), ours("sent", kind="confirmation")
    both = {"a": first, "b": second}
    assert compare(both, theirs("a", "b", to_opted_out=("a",))).to_opted_out == 0
    assert compare(both, theirs("a", "b", to_opted_out=("a", "b"))).to_opted_out == 1
    assert compare({"a": ours("sent")}, theirs("a", to_opted_out=("a",))).to_opted_out == 1
