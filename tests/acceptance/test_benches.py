"""Every bench at a tiny size, on real processes: that it measures what it says and checks that the work was done right.

No figure is judged here: that is for a quiet machine.
"""

from pathlib import Path
from typing import Any

import pytest

from carillon.kernel.errors import SetupError
from carillon.runtime.bench import BENCHES, soak

pytestmark = pytest.mark.acceptance

COMMON = {"bench", "count", "seconds", "rate", "floor", "ratio", "rss_mb", "runs", "machine"}


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARILLON_DATA", str(tmp_path))


async def measured(name: str, *words: str) -> dict[str, Any]:
    told = await BENCHES[name].measure(words)
    assert told.keys() >= COMMON
    assert min(told[figure] for figure in ("count", "seconds", "rate", "floor", "ratio", "rss_mb")) > 0
    return told


async def test_inbound() -> None:
    size = ("--rate", "50", "--seconds", "1", "--burst", "100", "--accounts", "2", "--people", "20", "--lines", "4")
    told = await measured("inbound", *size, "--runs", "1")
    assert told["calls"] == 100
    assert told["burst"]["lost"] == 0
    assert told["answer_ms"]["median"] <= told["understood_ms"]["most"]
    assert told["cpu_ms_per_thousand"].keys() == {"client", "postgresql"}


async def test_live() -> None:
    size = ("--sockets", "20", "--tenants", "2", "--rate", "5", "--seconds", "1", "--runs", "1")
    told = await measured("live", *size)
    assert told["frames"] == 50


async def test_accounts() -> None:
    told = await measured("accounts", "--count", "6", "--workers", "1", "--idle", "1")
    assert told["count"] == 6
    assert "failover_seconds" not in told
    with pytest.raises(SetupError):
        await BENCHES["accounts"].measure(["--count", "501", "--workers", "2"])


async def test_inbox() -> None:
    size = ("--conversations", "2000", "--agents", "5", "--every", "1", "--seconds", "1", "--runs", "1")
    told = await measured("inbox", *size)
    assert told["answer_ms"].keys() == {"mine", "unassigned", "all", "counts", "search"}


async def test_soak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "_MINUTE", 4)
    monkeypatch.setattr(soak, "_IN_TIME", 0.0)  # how fast this machine is, is no matter of a test
    size = ("--minutes", "1", "--rate", "20", "--accounts", "2", "--every", "1", "--bound", "500")
    told = await measured("soak", *size)
    assert told["failed"] == []
    assert told["mb_per_hour"].keys() == {"api", "background", "delivery-1"}
