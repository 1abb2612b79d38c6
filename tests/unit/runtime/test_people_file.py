"""The demo's contact file is the same for the same seed, and as messy as it says."""

from pathlib import Path

from carillon.runtime.demo.people import HEADER, write_people


def test_the_same_seed_writes_the_same(tmp_path: Path) -> None:
    one, two = (write_people(tmp_path / name, rows=300, seed=7) for name in ("one", "two"))
    other = write_people(tmp_path / "other", rows=300, seed=8)
    assert one.path.read_bytes() == two.path.read_bytes() != other.path.read_bytes()
    assert one.opted_out == two.opted_out != ()


def test_it_is_gbk_with_a_chinese_header_and_repeats_itself(tmp_path: Path) -> None:
    lines = write_people(tmp_path / "people.csv", rows=500).path.read_bytes().decode("gbk").splitlines()
    assert lines[0] == ";".join(HEADER)
    assert len(lines) == 501
    assert len(set(lines)) < 501
