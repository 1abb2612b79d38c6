"""The wrappers of pg_dump and pg_restore, with pretended programs."""

import stat
from pathlib import Path

import pytest

from carillon.storage.postgres import (
    Binaries,
    DumpFailed,
    NoBinaries,
    RestoreFailed,
    dump,
    dumps,
    restore_dump,
)
from carillon.storage.postgres.dumps import split_password

URL = "postgresql+asyncpg://app:p%40ss%2Fword@127.0.0.1:5432/carillon"
WRITE_FILE = 'for word; do file="${word#--file=}"; done; '


def pretend(folder: Path, name: str, script: str) -> Binaries:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    (folder / name).chmod(0o755)
    return Binaries(folder, 99)


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        (URL, "postgresql://app@127.0.0.1:5432/carillon", "p@ss/word"),
        ("postgresql://app@h/d", "postgresql://app@h/d", ""),
        ("postgresql://h/d", "postgresql://h/d", ""),
        ("postgresql://a:b@/d?host=%2Frun&port=5", "postgresql://a@/d?host=%2Frun&port=5", "b"),
    ],
)
def test_the_password_is_taken_out_of_the_address(url: str, address: str, password: str) -> None:
    assert split_password(url) == (address, password)


def test_the_password_is_in_the_environment_alone(tmp_path: Path) -> None:
    binaries = pretend(tmp_path, "pg_dump", WRITE_FILE + 'echo "$@" >"$file"; echo "$PGPASSWORD" >>"$file"')
    dump(binaries, URL, tmp_path / "out")
    arguments, password = (tmp_path / "out").read_text().splitlines()
    assert password == "p@ss/word"
    assert "word@" not in arguments
    assert "p%40ss" not in arguments
    assert "postgresql://app@127.0.0.1:5432/carillon" in arguments
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def test_a_failed_dump_leaves_the_old_one_and_hides_the_password(tmp_path: Path) -> None:
    binaries = pretend(tmp_path, "pg_dump", WRITE_FILE + 'echo half >"$file"; echo "bad $PGPASSWORD" >&2; exit 1')
    (tmp_path / "out").write_text("old")
    with pytest.raises(DumpFailed) as caught:
        dump(binaries, URL, tmp_path / "out")
    assert str(caught.value) == "pg_dump failed.\nbad ***"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "pg_dump"]
    assert (tmp_path / "out").read_text() == "old"


def test_a_missing_dump_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RestoreFailed, match="no dump"):
        restore_dump(Binaries(tmp_path, 99), URL, tmp_path / "none")


def test_the_systems_programs_stand_in_unless_they_are_older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "system").mkdir()
    system = pretend(tmp_path / "system", "pg_dump", WRITE_FILE + 'echo stand-in >"$file"')
    monkeypatch.setattr(dumps, "system_binaries", lambda: [system])
    dump(Binaries(tmp_path, 99), URL, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "stand-in\n"
    with pytest.raises(NoBinaries):
        dump(Binaries(tmp_path, 100), URL, tmp_path / "out")
