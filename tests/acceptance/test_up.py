"""`carillon up`: from an empty folder to a product that answers, and back after every kind of death."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from .installation import Installation, Running, free_port, living, wait_for

pytestmark = pytest.mark.acceptance


def sign_in(up: Running) -> str:
    """Use the login that was printed to make an API key."""
    words = up.until_printed("First login").split()
    email, password = words[-2:]
    status, _, headers = up.request("POST", "/api/v1/auth/login", {"email": email, "password": password})
    assert status == 200
    session = {"Cookie": headers["set-cookie"].split(";")[0], "Origin": up.address}
    wanted = {"name": "Test", "permissions": ["accounts:read"]}
    status, issued, _ = up.request("POST", "/api/v1/api-keys", wanted, session)
    assert status == 201, issued
    return str(issued["key"])


def accounts(up: Running, key: str) -> list[str]:
    status, page, _ = up.request("GET", "/api/v1/accounts", headers={"Authorization": f"Bearer {key}"})
    assert status == 200, page
    return sorted(item["state"] for item in page["items"])


def metric(up: Running, series: str) -> float | None:
    """One series of all the processes together, from the API's `/metrics`."""
    status, text, _ = up.request("GET", "/metrics")
    if status != 200:
        return None
    lines = [line for line in text.decode().splitlines() if line.startswith(f"{series} ")]
    return float(lines[0].split()[-1]) if lines else None


def test_from_nothing_to_ready_and_back(tmp_path: Path) -> None:
    here = Installation(tmp_path / "data")
    with here.running("up") as up:
        assert up.address in up.until_printed("is ready at")
        up.until_ready()
        key = sign_in(up)
        wait_for(lambda: accounts(up, key) == ["online", "online"], "the sandbox accounts never came online")

        wait_for(lambda: metric(up, 'carillon_accounts{state="online"}') == 2.0, "the figures never came")
        assert metric(up, "carillon_accounts_owned") == 2.0
        assert metric(up, 'carillon_process_starts_total{program="background"}') == 1.0
        assert len(list((here.data / "metrics").iterdir())) == 1

        first = up.child("run", "api")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: up.child("run", "api") not in (None, first), "the API was not started again")
        up.until_ready()
        assert accounts(up, key) == ["online", "online"]
        assert metric(up, 'carillon_process_starts_total{program="api"}') == 2.0

        with here.running("run", "api", port=free_port()) as beside:
            beside.until_ready()
            assert accounts(beside, key) == ["online", "online"]
            assert beside.end() == 0
        assert accounts(up, key) == ["online", "online"]

        family = up.family()
        assert len(family) > 4
        assert up.end() == 0, up.text()
        assert not living(family)


def test_the_next_start_works_after_any_end(tmp_path: Path) -> None:
    here = Installation(tmp_path / "data")
    with here.running("up") as up:
        up.until_ready()
        key = sign_in(up)
        wait_for(lambda: accounts(up, key) == ["online", "online"], "the sandbox accounts never came online")
        python = {pid for pid in up.family() if psutil.Process(pid).name().startswith("python")}
        assert len(python) == 4
        up.kill()
        # Nobody is left to end them: they notice by themselves, and only PostgreSQL waits for the next start.
        wait_for(lambda: not living(python), "children outlived their parent")
    with here.running("up") as up:
        up.until_printed("is ready at")
        wait_for(lambda: accounts(up, key) == ["online", "online"], "the accounts were not taken over")
        family = up.family()
        assert up.end() == 0, up.text()
        assert "First login" not in up.text()
        assert not living(family)
    with pytest.raises(FileNotFoundError):
        (here.data / "postgres" / "cluster" / "postmaster.pid").read_text()
