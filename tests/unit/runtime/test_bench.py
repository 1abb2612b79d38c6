"""How measurements are asked for and told; the measuring itself needs a database and stands in no unit test."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from carillon.runtime.bench import BENCHES, soak, watching
from carillon.runtime.bench.declaring import Bench, option, slope
from carillon.runtime.bench.imports import write_people
from carillon.runtime.bench.measuring import result
from carillon.runtime.bench.processes import percentiles


def test_every_bench_runs_on_its_defaults():
    for name, bench in BENCHES.items():
        assert bench.name == name
        assert bench.parse([]) == bench.options()


def test_options_are_named_on_the_command_line():
    options = BENCHES["plan"].parse(["--messages", "1_000_000", "--runs", "1"])
    assert (options.messages, options.runs) == (1_000_000, 1)


@pytest.mark.parametrize("words", [["--messages", "0"], ["--messages", "many"], ["--nonsense", "1"]])
def test_a_wrong_option_ends_the_program(words: list[str]):
    with pytest.raises(SystemExit):
        BENCHES["plan"].parse(words)


def test_a_result_is_told_by_medians_and_against_the_floor():
    told = result("plan", 1_000, [4.0, 2.0, 1.0], [1.0, 0.5, 0.5], 50.0, planned=900)
    assert (told["seconds"], told["rate"], told["floor"], told["ratio"]) == (2.0, 500.0, 2000.0, 0.25)
    assert {"count", "rss_mb", "machine", "planned"} <= told.keys()


def test_the_contact_file_has_bad_and_repeated_numbers(tmp_path: Path):
    write_people(tmp_path / "people.csv", 1_000)
    with (tmp_path / "people.csv").open(encoding="utf-8", newline="") as file:
        phones = [row["phone"] for row in csv.DictReader(file)]
    good = [phone for phone in phones if phone != "12"]
    assert len(phones) == 1_000
    assert 0 < len(phones) - len(good) < 20
    assert 0 < len(good) - len(set(good)) < 20


@dataclass(frozen=True, slots=True)
class Toy:
    things: int = option(100, "how many")


async def quadratic(options: Toy) -> dict[str, Any]:
    return result("toy", options.things, [options.things**2 / 1e6], [1e-6], 1.0)


async def test_a_slope_is_the_exponent_of_growth():
    bench = Bench("toy", "Squares.", Toy, quadratic, size="things")
    told = await bench.measure(["--things", "1000", "--slope", "10"])
    assert (told["count"], told["slope"]) == (1000, 2.0)
    assert [one["count"] for one in told["sizes"]] == [100, 1000]
    assert "slope" not in await bench.measure([])


def test_two_runs_of_one_size_have_no_slope():
    with pytest.raises(ValueError, match="two different sizes"):
        slope([{"count": 1, "seconds": 1}, {"count": 1, "seconds": 2}])


def test_the_size_of_each_bench_is_one_of_its_options():
    for bench in BENCHES.values():
        assert not bench.size or bench.size in bench.options.__dataclass_fields__


def test_growth_is_fitted_by_least_squares():
    assert soak.slope([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx(2)
    assert soak.slope([0, 1, 2, 3], [1, 2, 1, 2]) == pytest.approx(0.2)
    assert soak.slope([1], [1]) == 0


def test_the_warm_up_does_not_count_as_growth():
    samples = soak.Samples(at=[0, 10, 20, 30], memory={"api": [10, 100, 100, 100], "postgresql": [1, 2, 3, 4]})
    assert samples.slopes() == {"api": 0}
    assert samples.measured == 20


def test_percentiles_are_told_in_milliseconds():
    told = percentiles([number / 1000 for number in range(1, 102)])
    assert told == {"median": 51.0, "p95": 96.0, "p99": 100.0, "most": 101.0}
    assert percentiles([0.5])["p99"] == 500.0


@pytest.mark.parametrize("length", [3, 125, 126, 5_000])
async def test_screens_read_frames_however_they_are_cut(length: int):
    screens = watching.Screens()
    screen = watching.Screen(screens, "", "localhost")
    text = b'{"data":{"inbound_id":"a"},"pad":"' + b"x" * length + b'"}'
    stream = watching.frame(text) * 2
    for start in range(0, len(stream), 50):
        screen.data_received(stream[start : start + 50])
    assert len(screens.seen["a"]) == 2
