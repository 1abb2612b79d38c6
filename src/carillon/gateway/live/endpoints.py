"""`POST /api/v1/live/ticket` and `/ws`."""

import asyncio
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field

from carillon.gateway.context import SignedIn
from carillon.gateway.errors import TicketInvalid
from carillon.gateway.routing import router as make_router
from carillon.kernel.errors import CarillonError
from carillon.ops.metrics import LIVE_DROPPED

from . import tickets
from .frames import HEARTBEAT
from .hub import Hub
from .sockets import REVOKED, TOO_SLOW, Socket

_log = structlog.get_logger(__name__)
_HEARTBEAT_EVERY = 15.0
_SEND_WITHIN = 10.0
_TRY_LATER = 1013

router = make_router("/live", "live")
socket_router = APIRouter()


class TicketOut(BaseModel):
    """A ticket for one WebSocket."""

    ticket: str
    expires_in: int = Field(description="Seconds")


@router.post("/ticket", status_code=201, summary="A ticket to open the live feed with")
async def create_live_ticket(context: SignedIn) -> TicketOut:
    """Good once, for 30 seconds, for `/ws?ticket=…`."""
    ticket = await tickets.issue(context.tx, context.subject, context.resources)
    return TicketOut(ticket=ticket, expires_in=int(tickets.LIFETIME.total_seconds()))


@socket_router.websocket("/ws")
async def live(
    websocket: WebSocket,
    ticket: Annotated[str, Query(max_length=200)],
    since: Annotated[int | None, Query(ge=0)] = None,
    epoch: Annotated[str | None, Query(max_length=64)] = None,
) -> None:
    """Push events: `hello`, then what was missed since `seq` of `epoch`, then what happens; a heartbeat every 15 s."""
    hub: Hub = websocket.app.state.hub
    # Accept first: a browser cannot read why a handshake was refused, but it can read a close code.
    await websocket.accept()
    try:
        socket = Socket(await hub.redeem(ticket))
        await hub.join(socket, since, epoch)
    except TicketInvalid:
        await websocket.close(REVOKED, "ticket_invalid")
        return
    except CarillonError as error:
        await websocket.close(_TRY_LATER, error.code)
        return
    try:
        await _serve(websocket, socket)
    finally:
        hub.leave(socket)


async def _serve(websocket: WebSocket, socket: Socket) -> None:
    """Write until the socket is to be closed, the client goes away, or it reads too slowly."""
    tasks = [
        asyncio.create_task(_write(websocket, socket)),
        asyncio.create_task(_drain(websocket)),
        asyncio.create_task(socket.closing.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            _log.debug("a live socket broke", reason=type(outcome).__name__)
    if socket.closing.is_set():
        if socket.close_code == TOO_SLOW:
            LIVE_DROPPED.labels("slow").inc()
        await _close(websocket, socket.close_code)


async def _close(websocket: WebSocket, code: int) -> None:
    try:
        async with asyncio.timeout(_SEND_WITHIN):
            await websocket.close(code)
    except (RuntimeError, TimeoutError, OSError):
        # It went away meanwhile, which is what we wanted.
        _log.debug("a live socket was gone before it was closed", code=code)


async def _write(websocket: WebSocket, socket: Socket) -> None:
    while True:
        try:
            text = await asyncio.wait_for(socket.queue.get(), _HEARTBEAT_EVERY)
        except TimeoutError:
            text = HEARTBEAT
        try:
            async with asyncio.timeout(_SEND_WITHIN):
                await websocket.send_text(text)
        except TimeoutError:
            socket.close(TOO_SLOW)
            return


async def _drain(websocket: WebSocket) -> None:
    """Read and forget what the client says, be it text or not: only so is its going away noticed."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
