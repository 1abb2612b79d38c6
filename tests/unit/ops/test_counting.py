"""Several processes count together: nothing is lost when one is killed, nothing of the dead stays in the present."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from carillon.ops import counting

COUNT = """
import os, signal, sys
from carillon.ops import metrics
from carillon.ops.counting import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
Counter("t_sent", "x", ["kind"]).labels("a").inc(float(sys.argv[1]))
Gauge("t_owned", "x", multiprocess_mode="livesum").set(float(sys.argv[1]))
Histogram("t_took", "x", buckets=(1, 2)).observe(1.5)
family = GaugeMetricFamily("t_read", "x", labels=["by"])
family.add_metric([sys.argv[2]], 7)
metrics.publish([family])
if sys.argv[3:] == ["die"]:
    os.kill(os.getpid(), signal.SIGKILL)
"""
SHOW = """
import sys
from carillon.ops import metrics
sys.stdout.write(metrics.render(sys.argv[1])[0].decode())
"""


def run(code: str, directory: Path, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **counting.environment(directory, program)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, -9), done.stderr
    return done.stdout


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return counting.prepare(tmp_path / "metrics")


def test_siblings_are_summed_and_the_killed_one_goes_on_counting(directory: Path) -> None:
    run(COUNT, directory, "delivery-1", "3", "delivery-1", "die")
    run(COUNT, directory, "delivery-2", "4", "delivery-2")
    text = run(SHOW, directory, "api", "")
    assert 't_sent_total{kind="a"} 7.0' in text
    assert "t_owned 7.0" in text
    assert 't_took_bucket{le="2.0"} 2.0' in text
    assert 't_read{by="delivery-1"} 7.0' in text
    counting.forget(directory, "delivery-1")
    text = run(SHOW, directory, "api", "application/openmetrics-text")
    assert 't_sent_total{kind="a"} 7.0' in text
    assert "t_owned 4.0" in text
    assert 't_read{by="delivery-1"}' not in text
    assert 't_read{by="delivery-2"} 7.0' in text
    run(COUNT, directory, "delivery-1", "5", "delivery-1")
    text = run(SHOW, directory, "api", "")
    assert 't_sent_total{kind="a"} 12.0' in text
    assert len(list(directory.glob("counter_*.db"))) == 3


def test_what_earlier_trees_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    root = tmp_path / "metrics"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (str(gone.pid), str(os.getppid()), "notes"):
        (root / name).mkdir(parents=True)
        (root / name / "counter_api.db").write_bytes(b"x")
    mine = counting.prepare(root)
    assert {one.name for one in root.iterdir()} == {str(os.getppid()), "notes", str(os.getpid())}
    assert list(mine.iterdir()) == []


def test_a_process_without_room_counts_for_itself(tmp_path: Path) -> None:
    code = "from carillon.ops import counting\nprint(counting.shared(), counting.values.ValueClass._multiprocess)"
    assert run(code, tmp_path / "not there", "api") == "None False\n"


def test_room_is_taken_before_it_is_needed(directory: Path) -> None:
    """A memory-mapped write to a full disk would end the process."""
    run("from carillon.ops import counting", directory, "api")
    files = list(directory.glob("*_api.db"))
    assert len(files) == 5
    assert all(file.stat().st_blocks * 512 >= 1 << 20 for file in files)
