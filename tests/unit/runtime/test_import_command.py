"""What `carillon import` makes of its options about consent."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import typer

from carillon.runtime.commands.people import consent_rule

DAY = datetime(2026, 3, 1)  # noqa: DTZ001 - as the command line gives it


def test_everyone_is_a_grant_with_proof_and_date() -> None:
    rule = consent_rule("form 7", everyone=True, consented_at=DAY)
    assert (rule.everyone, rule.proof, rule.at) == (True, "form 7", datetime(2026, 3, 1, tzinfo=UTC))


def test_a_date_with_a_zone_is_that_moment() -> None:
    at = datetime(2026, 3, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    assert consent_rule(None, everyone=False, consented_at=at).at == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("proof", "at", "named"),
    [(None, DAY, "--proof"), ("form 7", None, "--consented-at"), ("form 7", datetime(9000, 1, 1), "future")],  # noqa: DTZ001
)
def test_a_grant_nobody_could_be_written_to_for_is_refused(proof: str | None, at: datetime | None, named: str) -> None:
    with pytest.raises(typer.BadParameter, match=named):
        consent_rule(proof, everyone=True, consented_at=at)
