"""The platform of `bench inbound`, as a process of its own: posts signed calls on schedule over kept connections.

A job is one JSON line: `{"host", "port", "tenant", "accounts": [{"id", "secret"}], "first", "count", "rate",
"people", "lines"}`. The answer is one line: when each call was due and when it was answered (Unix seconds), and how
many answers there were of each status. The schedule does not wait for answers: a call that leaves late because we are
slow counts from when it should have left.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson

from carillon.platforms.connectors.custom_http.signature import HEADER, signature

from .polling import answer


@dataclass(slots=True)
class Storm:
    """A job under way."""

    job: Mapping[str, Any]
    begin: float = 0.0
    numbers: "count[int]" = field(default_factory=count)
    due: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    statuses: "Counter[int]" = field(default_factory=Counter)

    async def run(self) -> dict[str, Any]:
        """Connect, then keep the schedule."""
        total, lines = self.job["count"], self.job["lines"]
        self.due, self.answered = [0.0] * total, [0.0] * total
        opened = [await asyncio.open_connection(self.job["host"], self.job["port"]) for _ in range(lines)]
        self.begin = time.time() + 0.2
        await asyncio.gather(*[self._line(reader, writer) for reader, writer in opened])
        for _, writer in opened:
            writer.close()
        return {"due": self.due, "answered": self.answered, "statuses": dict(self.statuses)}

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (number := next(self.numbers)) < self.job["count"]:
            due = self.begin + number / self.job["rate"]
            if (wait := due - time.time()) > 0:
                await asyncio.sleep(wait)
            writer.write(self._request(number))
            status, _ = await answer(reader)
            self.due[number], self.answered[number] = due, time.time()
            self.statuses[status] += 1

    def _request(self, number: int) -> bytes:
        account = self.job["accounts"][number % len(self.job["accounts"])]
        body = call_body(self.job["first"] + number, self.job["people"])
        signed = signature(account["secret"].encode(), datetime.now(UTC), body)
        head = (
            f"POST /hooks/{self.job['tenant']}/{account['id']} HTTP/1.1\r\nHost: {self.job['host']}\r\n"
            f"Content-Type: application/json\r\n{HEADER}: {signed}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def call_body(number: int, people: int) -> bytes:
    """One call with one message; its id is its number."""
    message = {
        "type": "message",
        "id": f"m{number}",
        "chat": f"c-{number % people}",
        "sender_name": f"Person {number % people}",
        "text": f"Hello, is order {number} on its way? I would like to know when it comes.",
        "at": datetime.now(UTC).isoformat(),
    }
    return orjson.dumps({"updates": [message]})


def main() -> None:
    """Do one job after the other until standard input ends."""
    for line in sys.stdin.buffer:
        outcome = asyncio.run(Storm(orjson.loads(line)).run())
        sys.stdout.buffer.write(orjson.dumps(outcome, option=orjson.OPT_NON_STR_KEYS) + b"\n")
        sys.stdout.buffer.flush()
