"""Serves the application with granian inside our own event loop, and goes down without cutting anyone off."""

import asyncio
import contextlib
import socket

import structlog
from fastapi import FastAPI
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from carillon.kernel.errors import SetupError

_log = structlog.get_logger(__name__)
_BACKLOG = 1024
_HEADERS_WITHIN_MS = 15_000
_START_WITHIN = 10.0
_TRY_EVERY = 0.02
_UNWIND = 0.25


class AddressInUse(SetupError):
    """The address is not free: another program listens there, or we may not use it."""

    code = "address_in_use"


class ServerDied(SetupError):
    """The HTTP server ended by itself; the log says why."""

    code = "server_died"


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    started: asyncio.Event | None = None,
    drain: float = 20.0,
) -> None:
    """Serve until told to stop, then finish what is being answered.

    Granian's embedded server runs its sockets in Rust threads and our handlers in this loop. The application's
    lifespan is entered here, not by granian, which would serve on without it when it fails.

    Args:
        app: Made by `create_app`.
        host: Address to bind.
        port: Port to bind.
        stop: When set: not ready any more, live sockets are sent elsewhere, no new connections, requests finish.
        started: Set when connections are taken.
        drain: Seconds requests have to finish.

    Raises:
        AddressInUse: The address cannot be bound.
        ServerDied: It ended although nobody asked it to.
    """
    _claim(host, port)
    async with app.router.lifespan_context(app):
        server = Server(
            app,
            host,
            port,
            interface=Interfaces.ASGINL,
            backlog=_BACKLOG,
            http1_settings=HTTP1Settings(header_read_timeout=_HEADERS_WITHIN_MS),
            log_enabled=False,
        )
        running = asyncio.create_task(server.serve())
        try:
            await _until_listening(running, host, port)
            if started is not None:
                started.set()
            _log.info("serving", host=host, port=port)
            await _until_stopped(running, stop)
            app.state.checks.draining = True
            # Before granian is told: once it goes down, it may not deliver a close frame any more.
            await app.state.hub.close()
        finally:
            await _shut(server, running, drain)


def _claim(host: str, port: int) -> None:
    """Bind once without SO_REUSEPORT: with it, which granian uses, two servers would share the port silently."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        message = f"cannot listen on {host} port {port}: {error.strerror}"
        raise AddressInUse(message, host=host, port=port) from error


async def _until_listening(running: "asyncio.Task[None]", host: str, port: int) -> None:
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    async with asyncio.timeout(_START_WITHIN):
        while not running.done():
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection(target, port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(_TRY_EVERY)
    raise ServerDied


async def _until_stopped(running: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if running.done() and not stop.is_set():
        raise ServerDied from running.exception()


async def _shut(server: Server, running: "asyncio.Task[None]", drain: float) -> None:
    server.stop()  # type: ignore[no-untyped-call] # untyped there
    _, unfinished = await asyncio.wait({running}, timeout=drain)
    if unfinished:
        _log.warning("requests were still running when the time was up", seconds=drain)
        running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    # Its threads unwind after that; one that calls into a loop already closed aborts the whole process.
    await asyncio.sleep(_UNWIND)
