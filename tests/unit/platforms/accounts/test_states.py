"""The state machine of an account, and the explanations of its states."""

import pytest

from carillon.platforms.accounts.checks import check_labels, check_settings
from carillon.platforms.accounts.errors import BadAccount
from carillon.platforms.accounts.reasons import REASONS, RESUMABLE, code_for, explain
from carillon.platforms.accounts.states import ALLOWED, By, may_enter
from carillon.platforms.connectors.catalog import CONNECTORS
from carillon.platforms.connectors.errors import LeaseLost
from carillon.platforms.connectors.port import AccountState as S

STOPPED = (S.PARKED, S.BANNED, S.SIGNED_OUT)


def test_every_state_is_in_every_table() -> None:
    assert all(set(table) == set(S) for table in ALLOWED.values())


@pytest.mark.parametrize("stopped", STOPPED)
@pytest.mark.parametrize("state", [state for state in S if state not in STOPPED])
def test_no_platform_leads_out_of_a_stop(stopped: S, state: S) -> None:
    assert not may_enter(stopped, state, By.PLATFORM)


def test_the_product_never_undoes_a_ban_or_a_sign_out() -> None:
    assert not ALLOWED[By.PRODUCT][S.BANNED]
    assert not ALLOWED[By.PRODUCT][S.SIGNED_OUT]


def test_an_operator_may_lead_out_of_every_stop_and_nowhere_but_to_the_beginning() -> None:
    assert all(may_enter(stopped, S.NEW, By.OPERATOR) for stopped in STOPPED)
    assert all(after <= {S.NEW, S.PARKED} for after in ALLOWED[By.OPERATOR].values())


def test_every_state_a_person_can_act_on_says_what_to_do() -> None:
    for state in (S.DEGRADED, S.FLOODED, S.RESTRICTED, S.BANNED, S.SIGNED_OUT, S.PARKED):
        reason = explain(code_for(state, "in the platform's own words"))
        assert reason is not None
        assert reason.happened
        assert reason.advice
    assert explain(code_for(S.ONLINE, "")) is None


def test_our_own_texts_are_known_again() -> None:
    assert code_for(S.PARKED, REASONS["proxy_down"].happened) == "proxy_down"
    assert code_for(S.PARKED, LeaseLost().message) == "lease_lost"
    assert set(RESUMABLE) <= set(REASONS)
    assert len({reason.happened for reason in REASONS.values()}) == len(REASONS)


def test_settings_faults_do_not_repeat_the_value() -> None:
    with pytest.raises(BadAccount) as refused:
        check_settings(CONNECTORS["simulator_telegram"], {"rate_per_second": "hunter2"})
    assert "hunter2" not in f"{refused.value} {refused.value.data}"


def test_labels_are_trimmed_and_once() -> None:
    assert check_labels([" a ", "a", "e\u0301", "é"]) == ("a", "é")
