"""docs/reliability.md, written from what a run has seen."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from carillon import __version__

from .outcome import Outcome, Scenario

_HEAD = """# Reliability

Written by `make faults`; do not edit. Every row is a fault done to real processes on a real PostgreSQL. Afterwards the
ledger of the platform (a process of its own that knows nothing of ours) is compared with ours, message by message.

{when}, Carillon {version}, {machine}.

| fault | lost | sent twice | to opted-out | unknown | seconds | seen |
|---|---:|---:|---:|---:|---:|---|
{rows}

**lost**: we say that it was sent and the platform does not know it, or the other way round, or it never ended; replies,
webhooks and imported people that are missing count too. **sent twice**: copies beyond the first. **to opted-out**:
accepted by the platform after we had confirmed that person's opt-out. **unknown**: the outcome cannot be known, on
platforms that do not de-duplicate; shown to a person, never sent again blindly. **seconds**: from the end of the fault
until nothing was on its way any more; for take-overs, until the next process had sent its first message.

## What is done

{about}
{skipped}
## How to repeat it

```console
$ make faults                        # everything; writes this page
$ make faults ARGS="--only {example}"   # one of them
$ make faults ARGS=--quick           # all but the slowest, in a bounded size
$ make faults ARGS=--list            # their names
```
"""


def write_page(page: Path, done: Sequence[tuple[Scenario, Outcome]], skipped: Mapping[str, str]) -> None:
    """Write the table with its explanation."""
    scenarios = {scenario.name: scenario for scenario, _ in done}
    left_out = "".join(f"- **{name}** was left out: {reason}\n" for name, reason in skipped.items())
    text = _HEAD.format(
        when=datetime.now(UTC).date().isoformat(),
        version=__version__,
        machine=_machine(),
        rows="\n".join(_row(outcome) for _, outcome in done),
        about="\n".join(f"- **{scenario.name}**: {scenario.about}" for scenario in scenarios.values()),
        skipped=f"\n{left_out}\n" if left_out else "\n",
        example=next(iter(scenarios), "kills"),
    )
    page.write_text(text, "utf-8")


def _row(outcome: Outcome) -> str:
    seen = "; ".join(part for part in (outcome.note, *(f"**{text}**" for text in outcome.broken)) if part)
    late = f" (**at most {outcome.at_most:.0f}**)" if not outcome.in_time else ""
    counts = f"{outcome.lost} | {outcome.duplicated} | {outcome.to_opted_out} | {outcome.unknown}"
    return f"| {outcome.fault} | {counts} | {outcome.seconds:.1f}{late} | {seen} |"


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.release().split('-')[0]}"
