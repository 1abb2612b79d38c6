"""Processor time by whole process trees, also of processes that have ended."""

import os
import subprocess
import sys
import time

from carillon.runtime.bench.measuring import cpu_seconds, cpu_split

_BUSY = "import time\nwhile time.process_time() < 0.4: pass\n"


def test_a_child_that_ended_still_counts():
    before = cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", _BUSY], check=True)
    assert cpu_seconds(os.getpid()) - before >= 0.2


def test_ours_and_theirs_are_told_apart():
    # Stands for the postmaster: a process whose backend has used its time and ended.
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {_BUSY!r}])\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", "input()\n" + script], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        with cpu_split(other.pid) as cpu:
            other.stdin.write("\n")
            other.stdin.flush()
            other.stdout.readline()
            until = time.process_time() + 0.1
            while time.process_time() < until:
                pass
        other.stdin.write("\n")
        other.stdin.flush()
    assert cpu.postgresql_seconds >= 0.2
    assert cpu.client_seconds >= 0.09
    assert cpu.per_thousand(1000) == {
        "client": round(cpu.client_seconds * 1000, 1),
        "postgresql": round(cpu.postgresql_seconds * 1000, 1),
    }


def test_a_process_that_is_gone_counts_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert cpu_seconds(child.pid) == 0.0
