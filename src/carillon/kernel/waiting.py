"""Waiting for one of several things."""

import asyncio
from collections.abc import Awaitable


async def first_of(*awaitables: Awaitable[object], seconds: float | None = None) -> None:
    """Wait until the first of them is done, or so many seconds; the others are cancelled."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
