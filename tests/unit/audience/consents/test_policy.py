"""What a policy may say."""

from datetime import UTC, time

import pytest

from carillon.audience.consents.contracts import Policy
from carillon.audience.consents.errors import BadPolicy
from carillon.audience.consents.policy import check


def test_the_defaults_are_a_valid_policy():
    check(Policy())


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"quiet_start": time(21, 0, 30)}, "quiet_start"),
        ({"quiet_end": time(8, tzinfo=UTC)}, "quiet_end"),
        ({"frequency_max": 0}, "frequency_max"),
        ({"frequency_days": 366}, "frequency_days"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"stop_words": ("ok", " ")}, "stop_words[1]"),
        ({"stop_words": ("a\nb",)}, "stop_words[0]"),
        ({"stop_words": ("x",) * 201}, "stop_words"),
        ({"confirmations": {"de": ""}}, "confirmations.de"),
    ],
)
def test_a_bad_value_is_named(changes, place):
    with pytest.raises(BadPolicy) as caught:
        check(Policy(**changes))
    assert caught.value.place == place
