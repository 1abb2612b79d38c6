"""An installation of its own for tests that run the program as people do: as a process, on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

PATIENCE = 120.0
T = TypeVar("T")


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """Poll until there is something to see."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (found := look()) is not None and found is not False:
            return found
        time.sleep(0.05)
    raise AssertionError(what)


def living(pids: Iterable[int]) -> set[int]:
    """Those of the processes that still run."""
    found = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
        except psutil.NoSuchProcess:
            continue
    return found


@dataclass
class Installation:
    """A data directory and a port; `extra` is laid over the environment."""

    data: Path
    port: int = field(default_factory=free_port)
    extra: Mapping[str, str] = field(default_factory=dict)

    def environment(self, **changes: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
        ours = {"CARILLON_DATA": str(self.data), "CARILLON_PORT": str(self.port)}
        return {**plain, "NO_COLOR": "1", **ours, **self.extra, **changes}

    def call(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "carillon.runtime", *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
            env=self.environment(**changes),
        )

    def json(self, *arguments: str) -> Any:
        """What a command prints as its last line with `--json`, which every command takes."""
        done = self.call(*(argument for argument in arguments if argument != "--json"), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    @contextmanager
    def running(self, *arguments: str, port: int | None = None) -> Iterator["Running"]:
        """A command that goes on; ended in good order when it is still there."""
        output = self.data.parent / f"output-{time.monotonic_ns()}"
        port = port or self.port
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "carillon.runtime", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=self.environment(CARILLON_PORT=str(port)),
                start_new_session=True,
            )
        run = Running(process, output, f"http://127.0.0.1:{port}")
        try:
            yield run
        finally:
            run.end()


@dataclass
class Running:
    """A process of ours, what it printed, and where it answers."""

    process: "subprocess.Popen[bytes]"
    output: Path
    address: str

    def text(self) -> str:
        return self.output.read_text("utf-8")

    def family(self) -> set[int]:
        """The pids of everything it started."""
        return {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}

    def child(self, *words: str) -> int | None:
        """The child that was started with these last words."""
        for child in psutil.Process(self.process.pid).children():
            try:
                if tuple(child.cmdline()[-len(words) :]) == words:
                    return int(child.pid)
            except psutil.NoSuchProcess:
                continue
        return None

    def until_printed(self, words: str) -> str:
        """The line that holds these words."""

        def look() -> str | None:
            assert self.process.poll() is None, self.text()
            return next((line for line in self.text().splitlines() if words in line), None)

        return wait_for(look, f"never printed: {words}")

    def until_ready(self) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.text()
            return self.request("GET", "/readyz")[0] == 200

        wait_for(look, "never ready")

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status (0 when nobody answers), body and headers."""
        request = urllib.request.Request(self.address + path, method=method)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            request.add_header(name, value)
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=30) as answer:
                return answer.status, _read(answer.read()), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _read(error.read()), dict(error.headers)
        except OSError:
            return 0, None, {}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ask it to end; returns its status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        return self.process.returncode


def _read(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
