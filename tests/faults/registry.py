"""Every fault there is, in the order in which they run."""

from collections.abc import Mapping

from .outcome import Scenario
from .scenarios import (
    clocks,
    crash_points,
    crashes_elsewhere,
    database_full,
    database_lines,
    database_restart,
    floods,
    http_troubles,
    kills,
    lost_answers,
    opt_out_race,
    platform_lines,
    restored,
    sanctions,
    take_over,
    webhooks,
    zombie,
)

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        kills.SCENARIO,
        crash_points.SCENARIO,
        crashes_elsewhere.SCENARIO,
        take_over.SCENARIO,
        zombie.SCENARIO,
        database_restart.SCENARIO,
        database_lines.SCENARIO,
        database_full.SCENARIO,
        lost_answers.SCENARIO,
        platform_lines.SCENARIO,
        http_troubles.SCENARIO,
        floods.SCENARIO,
        sanctions.SCENARIO,
        clocks.SCENARIO,
        webhooks.SCENARIO,
        opt_out_race.SCENARIO,
        restored.SCENARIO,
    )
}
