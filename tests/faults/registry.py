"""Every fault there is, in the order in which they run."""

from collections.abc import Mapping

from .outcome import Scenario
from .scenarios import crash_points, database_restart, floods, kills, lost_answers, sanctions, take_over, zombie

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        kills.SCENARIO,
        crash_points.SCENARIO,
        take_over.SCENARIO,
        zombie.SCENARIO,
        database_restart.SCENARIO,
        lost_answers.SCENARIO,
        floods.SCENARIO,
        sanctions.SCENARIO,
    )
}
