"""`make faults`: break things one after the other, compare the ledgers after each, write docs/reliability.md."""

import argparse
import asyncio
import json
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from carillon.ops.settings import Settings

from .ground import Ground, ground_at
from .outcome import Outcome, Scenario
from .registry import SCENARIOS
from .report import write_page

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 if everything was proven, 1 if not, 2 for a wrong argument."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if options.simulate is not None or options.replay is not None:
        return _simulate(options, rest)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.list:
        for scenario in SCENARIOS.values():
            _say(f"{scenario.name:<20} {'quick  ' if scenario.quick else '       '} {scenario.about}")
        return 0
    chosen = _chosen(options.only, quick=options.quick)
    if isinstance(chosen, str):
        parser.error(chosen)
    return _run(chosen, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make faults ARGS=", description=__doc__, allow_abbrev=False)
    parser.add_argument("--list", action="store_true", help="name the faults")
    parser.add_argument("--only", metavar="NAME,…", help="only these faults; the page is left as it is")
    parser.add_argument("--quick", action="store_true", help="all but the slowest, smaller; the page is left as it is")
    parser.add_argument("--json", action="store_true", help="one line of JSON last")
    parser.add_argument("--page", type=Path, help="where to write the table (docs/reliability.md after a full run)")
    parser.add_argument("--simulate", metavar="N", help="run N seeded histories instead, on a virtual clock")
    parser.add_argument("--replay", metavar="SEED", help="run one of those histories again and print it")
    return parser


def _simulate(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from .simulation import main as simulate

    given = (("--histories", options.simulate), ("--replay", options.replay))
    named = [f"{name}={value}" for name, value in given if value is not None]
    return simulate([*named, *(["--json"] if options.json else []), *rest])


def _chosen(only: str | None, *, quick: bool) -> list[Scenario] | str:
    """The scenarios to run, or what is wrong with the names."""
    if only is None:
        return [scenario for scenario in SCENARIOS.values() if scenario.quick or not quick]
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown or not names:
        return f"no such fault: {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}"
    return [SCENARIOS[name] for name in names]


def _run(scenarios: Sequence[Scenario], options: argparse.Namespace) -> int:
    root = Settings().data / "faults"
    shutil.rmtree(root, ignore_errors=True)
    done: list[tuple[Scenario, Outcome]] = []
    skipped: dict[str, str] = {}
    with ground_at(root) as ground:
        for scenario in scenarios:
            missing = scenario.missing()
            if missing is not None:
                skipped[scenario.name] = missing
                _say(f"skipped {scenario.name}: {missing}")
                continue
            began = time.monotonic()
            for outcome in _outcomes(scenario, ground, quick=options.quick):
                done.append((scenario, outcome))
                _say(_line(outcome))
            _say(f"     ({scenario.name} took {time.monotonic() - began:.0f} s)")
    failed = sum(not (outcome.proven and outcome.in_time) for _, outcome in done)
    page = options.page or (PAGE if options.only is None and not options.quick else None)
    if page is not None:
        write_page(page, done, skipped)
        _say(f"written: {page}")
    if options.json:
        rows = [{"scenario": scenario.name, **asdict(outcome)} for scenario, outcome in done]
        _say(json.dumps({"faults": len(done), "failed": failed, "skipped": skipped, "outcomes": rows}))
    return 1 if failed else 0


def _outcomes(scenario: Scenario, ground: Ground, *, quick: bool) -> list[Outcome]:
    """What came of it; a scenario that could not be run to its end has proven nothing."""
    try:
        return asyncio.run(scenario.run(ground, quick))
    except Exception as error:  # noqa: BLE001 - the other faults are run all the same
        traceback.print_exc()
        reason = f"ended with {type(error).__name__}: {error}".strip()
        return [Outcome(scenario.name, 0, 0, 0, 0, 0.0, broken=(reason,))]


def _line(outcome: Outcome) -> str:
    verdict = "ok  " if outcome.proven and outcome.in_time else "FAIL"
    counts = f"lost {outcome.lost}, twice {outcome.duplicated}, to opted-out {outcome.to_opted_out}"
    late = "" if outcome.in_time else f" (at most {outcome.at_most:.0f} s)"
    parts = [f"{counts}, unknown {outcome.unknown}, {outcome.seconds:.1f} s{late}", outcome.note, *outcome.broken]
    return f"{verdict} {outcome.fault}: {'; '.join(part for part in parts if part)}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
