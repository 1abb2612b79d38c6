"""The command line: many histories in several operating-system processes, or one once more.

Strings hash differently in every Python process unless told not to, and sets of them decide an order here and there:
so histories are only ever lived through in child processes with `PYTHONHASHSEED=0`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from .mutations import planted


def main(argv: Sequence[str]) -> int:
    """Run histories and judge them; 0 if none of them broke a promise.

    The last line is one JSON object: histories, failed (seeds), faults (by kind), messages, delivered, seconds; with a
    planted bug also `clean`: whether the failed seeds keep every promise without it.
    """
    options = _options(argv)
    if options.child:
        return _child(options)
    if options.replay is not None:
        options.seed, options.histories, options.jobs = options.replay, 1, 1
    began = time.perf_counter()
    jobs = max(1, min(options.jobs, options.histories))
    total: dict[str, Any] = {"histories": 0, "failed": [], "faults": Counter(), "messages": 0, "delivered": 0}
    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(lambda job: _follow(options, job, jobs, total), range(jobs)))
    total["failed"].sort()
    total["seconds"] = round(time.perf_counter() - began, 1)
    total["faults"] = dict(sorted(total["faults"].items()))
    sys.stdout.write(json.dumps(total) + "\n")
    sys.stdout.flush()
    if any(codes):
        sys.stderr.write("a simulating process failed; see above\n")
        return 2
    return 1 if total["failed"] else 0


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def again(seed: int, more: Sequence[str] = ()) -> str:
    """The one command that lives through a history once more."""
    arguments = " ".join([f"--replay={seed}", *more])
    return f'make faults ARGS="{arguments}"' if more else f"make faults ARGS={arguments}"


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation", description="Seeded histories of delivery under faults.")
    parser.add_argument("--histories", type=int, default=100, help="how many seeds")
    parser.add_argument("--seed", type=int, default=1, help="the first of them")
    parser.add_argument("--replay", type=int, metavar="SEED", help="live through one history and print all of it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, each with a database")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--plant", metavar="BUG", help="plant a bug of mutations.py")
    parser.add_argument("--focus", action="append", default=[], metavar="FAULT", help="more of this fault")
    parser.add_argument("--first", action="store_true", help="stop at the first broken promise")
    parser.add_argument("--child", type=int, nargs=2, metavar=("JOB", "JOBS"), help=argparse.SUPPRESS)
    return parser.parse_args(list(argv))


def _follow(options: argparse.Namespace, job: int, jobs: int, total: dict[str, Any]) -> int:
    """Run one child and add up what it tells."""
    command = [sys.executable, "-m", "tests.faults.simulation", "--child", str(job), str(jobs)]
    command += ["--seed", str(options.seed), "--histories", str(options.histories)]
    command += ["--plant", options.plant] if options.plant else []
    command += [f"--focus={each}" for each in options.focus]
    command += ["--first"] if options.first else []
    command += ["--replay", str(options.replay)] if options.replay is not None else []
    here = str(Path(__file__).parents[3])
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=here) as child:
        assert child.stdout is not None
        for line in child.stdout:
            _add(options, json.loads(line), total)
            if options.first and total["failed"]:
                child.terminate()
                return 0
    return child.returncode


def _add(options: argparse.Namespace, report: dict[str, Any], total: dict[str, Any]) -> None:
    total["histories"] += 1
    total["messages"] += report["messages"]
    total["delivered"] += report["delivered"]
    total["faults"].update(report["faults"])
    if report["violations"]:
        total["failed"].append(report["seed"])
        text = [*report["history"], f"seed {report['seed']} breaks a promise:", *report["violations"]]
        more = [f"--focus={each}" for each in options.focus]
        more += [f"--plant={options.plant}"] if options.plant else []
        text.append(f"again: {again(report['seed'], more)}")
        total["clean"] = total.get("clean", True) and report["clean"]
        _say(options, "\n".join(text))
    elif options.replay is not None:
        _say(options, "\n".join([*report["history"], f"seed {report['seed']} keeps every promise"]))
    elif total["histories"] % 50 == 0:
        _say(options, f"{total['histories']} histories, {total['delivered']} messages delivered")


def _child(options: argparse.Namespace) -> int:
    """Live through every `jobs`th history and print each one's report as a line."""
    job, jobs = options.child
    structlog.configure(processors=[_drop])
    # Tasks of killed processes end when the collector finds them, and complain that they may not tidy up.
    sys.unraisablehook = lambda _: None
    with _living(options) as lived:
        for seed in range(options.seed + job, options.seed + options.histories, jobs):
            with planted(options.plant):
                report = lived(seed)
            broken = bool(report["violations"])
            report["clean"] = broken and options.plant is not None and not lived(seed)["violations"]
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
            if options.first and broken:
                break
    return 0


@contextmanager
def _living(options: argparse.Namespace) -> Iterator[Callable[[int], dict[str, Any]]]:
    """A database for histories, and what lives through one of them on it."""
    from carillon.ops.settings import Settings

    from .cluster import simulated_database
    from .history import live
    from .wire import Wire

    with simulated_database() as urls, tempfile.TemporaryDirectory() as folder:
        wire = Wire(urls)
        settings = Settings(data=Path(folder))

        def lived(seed: int) -> dict[str, Any]:
            report = live(seed, wire, settings, options.focus)
            told = options.replay is not None or bool(report.violations)
            return {
                "seed": seed,
                "violations": report.violations,
                "faults": dict(report.faults),
                "messages": report.messages,
                "delivered": report.delivered,
                "history": [str(line) for line in report.history] if told else [],
            }

        yield lived
        wire.close()


def _drop(*_: Any) -> Any:
    """The product's log says nothing that the history does not."""
    raise structlog.DropEvent
