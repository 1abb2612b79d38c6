"""Processor time by whole process trees, also of processes that have ended."""

import json
import os
import subprocess
import sys

from carillon.runtime.bench.measuring import cpu_seconds

_BUSY = "import time\nwhile time.process_time() < 0.4: pass\n"
# The other process stands for the postmaster: its backend uses its time and ends.
_SPLIT = """
import json, subprocess, sys, time
from carillon.runtime.bench.measuring import cpu_split
other = "import subprocess as s, sys; input(); s.run([sys.executable, '-c', sys.argv[1]]); print(flush=True); input()"
with subprocess.Popen([sys.executable, "-c", other, sys.argv[1]], stdin=-1, stdout=-1, text=True) as postmaster:
    began = time.process_time()
    with cpu_split(postmaster.pid) as cpu:
        print(file=postmaster.stdin, flush=True)
        postmaster.stdout.readline()
        while time.process_time() < began + 0.1: pass
    ours = time.process_time() - began
    print(file=postmaster.stdin, flush=True)
print(json.dumps([cpu.per_thousand(1000), ours * 1000]))
"""


def test_a_child_that_ended_still_counts():
    before = cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", _BUSY], check=True)
    assert cpu_seconds(os.getpid()) - before >= 0.2


def test_ours_and_theirs_are_told_apart():
    # In a process of its own: whatever else this one runs would count as ours.
    told = subprocess.run([sys.executable, "-c", _SPLIT, _BUSY], check=True, capture_output=True, text=True)
    split, ours = json.loads(told.stdout)
    assert split["postgresql"] >= 200
    assert 90 <= split["client"] <= ours + 50
    assert ours < split["postgresql"]


def test_a_process_that_is_gone_counts_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert cpu_seconds(child.pid) == 0.0
