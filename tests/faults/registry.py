"""Every fault there is, in the order in which they run."""

from collections.abc import Mapping

from .outcome import Scenario
from .scenarios import crash_points, database_restart, kills, lost_answers

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        kills.SCENARIO,
        crash_points.SCENARIO,
        database_restart.SCENARIO,
        lost_answers.SCENARIO,
    )
}
