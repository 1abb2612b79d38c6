"""The agents of `bench inbox`, as a process of their own: each asks for its lists again and again, and searches.

A job is one JSON line: `{"host", "port", "tokens", "every", "seconds", "asks": [[name, path], …], "needles"}`;
`{needle}` in a path becomes the next needle. The answer is one line: `{"seconds": {name: […]}, "statuses": {…},
"found": {name: n}}`, with how long each answer took from when it was due and how many rows all answers had.
"""

import asyncio
import itertools
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson


@dataclass(slots=True)
class Shift:
    """All agents at work."""

    job: Mapping[str, Any]
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: "Counter[int]" = field(default_factory=Counter)
    found: "Counter[str]" = field(default_factory=Counter)

    async def run(self) -> dict[str, Any]:
        """Start the agents evenly over one interval, each on a connection of its own."""
        tokens, every = self.job["tokens"], self.job["every"]
        begin = time.perf_counter() + 0.2
        agents = [self._agent(token, begin + place * every / len(tokens)) for place, token in enumerate(tokens)]
        await asyncio.gather(*agents)
        return {"seconds": self.seconds, "statuses": self.statuses, "found": self.found}

    async def _agent(self, token: str, due: float) -> None:
        reader, writer = await asyncio.open_connection(self.job["host"], self.job["port"])
        needles = itertools.cycle(self.job["needles"][hash(token) % len(self.job["needles"]) :] or [""])
        end = due + self.job["seconds"]
        while due < end:
            await asyncio.sleep(due - time.perf_counter())
            started = due
            for name, path in self.job["asks"]:
                writer.write(self._request(token, path, needles))
                status, body = await answer(reader)
                now = time.perf_counter()
                self.seconds[name].append(now - started)
                self.statuses[status] += 1
                self.found[name] += rows_of(body)
                started = now
            # Who is late does not ask twice for it: a screen waits for its answer before it asks again.
            due = max(due + self.job["every"], time.perf_counter())
        writer.close()

    def _request(self, token: str, path: str, needles: Iterator[str]) -> bytes:
        if "{needle}" in path:
            path = path.replace("{needle}", quote(next(needles)))
        return (
            f"GET {path} HTTP/1.1\r\nHost: {self.job['host']}\r\nAuthorization: Bearer {token}\r\n"
            "Accept: application/json\r\n\r\n"
        ).encode()


def rows_of(body: bytes) -> int:
    """Rows of a page, or the total of counts."""
    said = orjson.loads(body)
    items = said.get("items") if isinstance(said, dict) else None
    return len(items) if items is not None else int(said.get("total", 0))


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of one answer with a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    length = next((int(line.partition(":")[2]) for line in head if line.startswith("content-length:")), 0)
    return int(head[0].split(" ")[1]), await reader.readexactly(length)


def main() -> None:
    """Do one job after the other until standard input ends."""
    for line in sys.stdin.buffer:
        outcome = asyncio.run(Shift(orjson.loads(line)).run())
        sys.stdout.buffer.write(orjson.dumps(outcome, option=orjson.OPT_NON_STR_KEYS) + b"\n")
        sys.stdout.buffer.flush()
