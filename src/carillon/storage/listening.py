"""LISTEN on a connection of its own, made again whenever it is lost."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 1.0


async def listen(url: str, channel: str, heard: Callable[[str], None]) -> None:
    """Call `heard` with every notification's payload, and with "" after each connect, until cancelled.

    A lost connection loses notifications, so whoever listens also looks from time to time.
    """
    while True:
        try:
            await _listen_once(url, channel, heard)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("notifications interrupted", channel=channel, error_class=type(error).__name__)
        await asyncio.sleep(_RETRY_SECONDS)


async def _listen_once(url: str, channel: str, heard: Callable[[str], None]) -> None:
    lost = asyncio.Event()
    settings = {"application_name": f"{channel} listener"}
    connection = await asyncpg.connect(url, timeout=10, server_settings=settings)
    try:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(channel, lambda *notice: heard(str(notice[3])))
        heard("")
        await lost.wait()
    finally:
        connection.terminate()
