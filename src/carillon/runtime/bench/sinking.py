"""Runs the sink (`bench.sink`) as a process of its own, so that its work is not counted as ours."""

import asyncio
import os
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from carillon.ops import lifeline

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink that runs; messages are posted to `url`. `pid` is its process, None for somebody else's."""

    url: str
    pid: int | None = None

    async def ledger(self) -> dict[str, Any]:
        """What it took: see `bench.sink`."""
        told: dict[str, Any] = orjson.loads(await self._get("ledger"))
        return told

    async def ids(self) -> set[str]:
        """The idempotency keys of everything it took, which are our message ids."""
        return set((await self._get("ledger/ids")).decode("ascii").split())

    async def _get(self, path: str) -> bytes:
        return await asyncio.to_thread(_read, self.url + path)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310 - the sink's own address
        body: bytes = answer.read()
        return body


@asynccontextmanager
async def sinking(*flags: str) -> AsyncIterator[Sink]:
    """A sink with these flags of its command line; it ends with us, however we end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "carillon.runtime.bench.sink",
        *flags,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, lifeline.VARIABLE: "1"},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_PATIENCE):
            url = (await process.stdout.readline()).decode("ascii").strip()
        assert url, "the sink did not start"
        yield Sink(url, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
