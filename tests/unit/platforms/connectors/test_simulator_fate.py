"""The simulator's seeded behaviour."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.kernel.ids import uuid7
from carillon.platforms.connectors.port import AccountConfig, Limits, Platform, Rate
from carillon.platforms.connectors.simulator.behaviour import PROFILES, BadBehaviour, Behaviour, behaviour_from
from carillon.platforms.connectors.simulator.connector import SimulatorConnector
from carillon.platforms.connectors.simulator.fate import peer_fate, planned_updates, send_fate
from carillon.platforms.connectors.simulator.people import REPLIES, STOP_WORDS

BUSY = behaviour_from({"reply_rate": 0.5, "stop_rate": 0.5, "block_rate": 0.2}, PROFILES["demo"])
names = st.text(max_size=20)
keys = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(0, 2**32), names, names, keys)
def test_a_messages_fate_depends_on_its_names_alone(seed: int, account: str, peer: str, key: int) -> None:
    behaviour = behaviour_from({"seed": seed}, BUSY)
    again = behaviour_from({"seed": seed}, BUSY)
    ids = {"message_id": "m", "platform_id": "p"}
    assert send_fate(behaviour, account, peer, key) == send_fate(again, account, peer, key)
    assert peer_fate(behaviour, peer) == peer_fate(again, peer)
    plans = planned_updates(behaviour, account, peer, key, **ids)
    assert plans == planned_updates(again, account, peer, key, **ids)
    assert all(plan.delay >= 0 for plan in plans)
    assert sum(plan.stop for plan in plans) <= 2


@given(names, names, keys)
def test_a_quiet_platform_does_nothing(account: str, peer: str, key: int) -> None:
    quiet = Behaviour()
    assert planned_updates(quiet, account, peer, key, message_id="m", platform_id="p") == ()
    fate, person = send_fate(quiet, account, peer, key), peer_fate(quiet, peer)
    assert (fate.answer_delay, fate.flood, fate.pair_flood, fate.answer_lost) == (0, None, None, False)
    assert (person.exists, person.refuses, person.blocks) == (True, False, False)


def test_rates_are_met_and_another_seed_is_another_run() -> None:
    def story(seed: int) -> list[bool]:
        behaviour = Behaviour(seed=seed, flood_rate=0.25)
        return [send_fate(behaviour, "a", f"p{key}", key).flood is not None for key in range(4000)]

    first = story(1)
    assert 0.22 < sum(first) / len(first) < 0.28
    assert first != story(2)


def test_every_kind_of_status_history_comes_about() -> None:
    behaviour = Behaviour(
        sent_rate=1, delivered_rate=1, read_rate=0.5, skip_delivered_rate=0.2, unordered_rate=0.2, duplicate_rate=0.2
    )
    seen = set()
    for key in range(400):
        plans = planned_updates(behaviour, "a", "p", key, message_id="m", platform_id="p")
        ordered = sorted(plans, key=lambda plan: plan.delay)
        seen.add(" ".join(plan.update["status"] for plan in ordered))
    assert {"sent delivered", "sent delivered read", "sent read", "sent read delivered"} <= seen
    assert any(history.count("sent") == 2 for history in seen)


def test_stops_are_stop_words_and_replies_are_not() -> None:
    for key in range(500):
        for plan in planned_updates(BUSY, "a", f"p{key}", key, message_id="m", platform_id="p"):
            if plan.update["kind"] == "message":
                assert plan.update["text"] in (STOP_WORDS if plan.stop else REPLIES)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"floods": 1}, "floods"),
        ({"flood_rate": 1.5}, "flood_rate"),
        ({"flood_rate": "often"}, "flood_rate"),
        ({"flood_rate": "nan"}, "flood_rate"),
        ({"flood_seconds": -1}, "flood_seconds"),
        ({"flood_seconds": "inf"}, "flood_seconds"),
        ({"ban_accounts": 5}, "ban_accounts"),
        ({"seed": None}, "seed"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], place: str) -> None:
    with pytest.raises(BadBehaviour) as caught:
        behaviour_from(values)
    assert caught.value.place == place


def test_settings_come_as_json_or_as_text() -> None:
    assert behaviour_from({"ban_accounts": "a,b", "ban_after": "3"}) == Behaviour(ban_accounts=("a", "b"), ban_after=3)
    assert behaviour_from({"ban_accounts": ["a", "b"], "ban_after": 3}).ban_accounts == ("a", "b")
    assert len(fields(Behaviour)) > 20


def test_settings_lower_the_limits_and_never_raise_them() -> None:
    def limits(**settings: object) -> Limits:
        account = AccountConfig(uuid7(), Platform.TELEGRAM, "a", settings=settings)
        return SimulatorConnector("127.0.0.1:1", Platform.TELEGRAM).limits(account)

    assert limits(rate_per_second=5).account == Rate(5, 1, burst=5)
    assert limits(rate_per_second=5000) == limits(rate_per_second="x") == limits()
    assert limits(daily_unique=250).daily_unique == 250
