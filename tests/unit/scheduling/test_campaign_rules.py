"""Drafts as stored, shares of a pool, and the guards' arithmetic."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.accounts.contracts import Account
from carillon.platforms.connectors.port import AccountState
from carillon.scheduling.campaigns import drafts
from carillon.scheduling.campaigns.audience import _weighted
from carillon.scheduling.campaigns.contracts import (
    Campaign,
    CampaignSchedule,
    CampaignState,
    Guards,
    ScheduleKind,
)
from carillon.scheduling.campaigns.errors import CampaignInvalid
from carillon.scheduling.campaigns.watching import guard_reason
from tests.fixtures.campaigns import draft

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
OFF = Guards(failure_rate=None, opt_out_rate=None)


def campaign(guards: Guards, **changes: Any) -> Campaign:
    plain = Campaign(
        id=uuid7(), draft=draft(guards=guards), state=CampaignState.RUNNING, pause_reason=None, planned_after=None,
        planning_done=True, planned=0, excluded={}, attempted=0, failed=0, replies=0, opt_outs=0, restricted=0,
        parent_id=None, next_at=None, version=1, created_at=NOW, updated_at=NOW, started_at=NOW, finished_at=None,
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("guards", "sent", "failed", "changes", "reason"),
    [
        (Guards(minimum=10), 8, 2, {}, None),
        (Guards(minimum=10), 7, 3, {}, "failure_rate"),
        (Guards(minimum=11), 7, 3, {}, None),
        (replace(OFF, minimum=10), 0, 100, {"opt_outs": 100, "restricted": 9}, None),
        (Guards(minimum=10), 20, 0, {"opt_outs": 1}, None),
        (Guards(minimum=10), 20, 0, {"opt_outs": 2}, "opt_out_rate"),
        (replace(OFF, restricted_accounts=0), 0, 0, {}, None),
        (replace(OFF, restricted_accounts=0), 0, 0, {"restricted": 1}, "restricted_accounts"),
        (Guards(minimum=10), 17, 3, {"judged_from": {"failed": 3, "attempted": 10}}, None),
        (Guards(minimum=10), 14, 6, {"judged_from": {"failed": 3, "attempted": 10}}, "failure_rate"),
    ],
)
def test_guards(guards: Guards, sent: int, failed: int, changes: dict[str, Any], reason: str | None) -> None:
    assert guard_reason(campaign(guards, attempted=sent + failed, failed=failed, **changes)) == reason


def test_a_draft_is_read_back_as_it_was_written() -> None:
    written = draft(
        description="d", segment_id=uuid7(), rule=None, account_ids=(uuid7(),), account_labels=("vip",),
        schedule=CampaignSchedule(ScheduleKind.LOCAL, at=datetime(2027, 5, 1, 9), zone="Asia/Tokyo"),  # noqa: DTZ001
        guards=Guards(restricted_accounts=3),
    )  # fmt: skip
    assert drafts.load(drafts.dump(written)) == written
    moment = CampaignSchedule(ScheduleKind.AT, at=NOW)
    assert drafts.load(drafts.dump(draft(schedule=moment))).schedule == moment


def test_a_local_time_must_be_to_come_everywhere_at_least_the_next_day() -> None:
    wall = NOW.replace(tzinfo=None)
    for hours, refused in ((0, False), (-9, False), (-10, True), (-30, True), (24, False)):
        schedule = CampaignSchedule(ScheduleKind.LOCAL, at=wall + timedelta(hours=hours))
        if refused:
            with pytest.raises(CampaignInvalid):
                drafts.check_start(schedule, NOW)
        else:
            drafts.check_start(schedule, NOW)


def test_a_moment_that_is_long_past_is_a_slip() -> None:
    drafts.check_start(CampaignSchedule(ScheduleKind.AT, at=NOW - timedelta(minutes=5)), NOW)
    with pytest.raises(CampaignInvalid) as caught:
        drafts.check_start(CampaignSchedule(ScheduleKind.AT, at=NOW - timedelta(hours=2)), NOW)
    assert caught.value.place == "schedule.at"


def account(rate: float) -> Account:
    return Account(
        id=uuid7(), connector="c", platform="telegram", name="", address="", portfolio=None, labels=(),
        settings={"rate_per_second": rate}, proxy_id=None, state=AccountState.ONLINE, reason="", state_at=NOW,
        wait_until=None, parked=False, created_at=NOW, updated_at=NOW,
    )  # fmt: skip


def test_accounts_share_by_their_rates_in_few_parts() -> None:
    assert [one.weight for one in _weighted([account(30), account(30)])] == [1, 1]
    assert [one.weight for one in _weighted([account(10), account(30)])] == [1, 3]
    weights = [one.weight for one in _weighted([account(0.001), account(10_000)])]
    assert weights[0] >= 1
    assert weights[1] <= 400
    assert _weighted([]) == []
