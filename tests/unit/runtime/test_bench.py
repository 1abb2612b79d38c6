"""How measurements are asked for and told; the measuring itself needs a database and stands in no unit test."""

import csv
from pathlib import Path

import pytest

from carillon.runtime.bench import BENCHES
from carillon.runtime.bench.imports import write_people
from carillon.runtime.bench.measuring import result


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
