"""`carillon demo` keeps its promise and says so in figures that add up."""

import json
from pathlib import Path

import pytest

from .installation import Installation

pytestmark = pytest.mark.acceptance

KEYS = {
    *("imported", "rejected_rows", "audience", "excluded", "planned", "sent", "delivered", "read", "failed", "unknown"),
    *("suppressed_midway", "replies", "opt_outs", "lost", "duplicated", "to_opted_out", "seconds", "peak_rss_mb"),
}


def test_the_demo_loses_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    done = Installation(tmp_path / "data").call("demo", "--rows", "600", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    report = json.loads(done.stdout)
    assert report.keys() >= KEYS
    assert (report["lost"], report["duplicated"], report["to_opted_out"]) == (0, 0, 0)
    assert report["kills"] == 2
    assert report["audience"] == report["planned"] + sum(report["excluded"].values())
    ends = report["sent"] + sum(report["failed"].values()) + report["unknown"] + report["held"]
    assert report["planned"] == ends + report["suppressed_midway"]
    assert report["sent"] >= report["delivered"] >= report["read"] > 0
    assert 0 < report["imported"] + report["rejected_rows"] <= 600
    assert report["audience"] == report["imported"]
