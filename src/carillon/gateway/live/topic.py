"""A tenant's live topic: its reader's place, its ring and its open sockets."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from carillon.kernel.permissions import Permission

from .frames import Frame, Ring, hello_text
from .progress import Coalescer
from .sockets import Socket
from .tail import Place, Tail

_RING = 1_000


class Topic:
    """Numbers a tenant's events and hands them to those of its sockets that may see them."""

    def __init__(
        self,
        tenant_id: UUID,
        place: Place,
        permissions: Mapping[str, Permission],
        coalescer: Coalescer,
        now: Callable[[], float],
    ) -> None:
        """Create it; its epoch is new, because numbers mean nothing beyond this process and this topic."""
        self.tenant_id = tenant_id
        self.epoch = uuid.uuid4().hex
        self.sockets: set[Socket] = set()
        self.idle_since = now()
        self._place = place
        self._permissions = permissions
        self._coalescer = coalescer
        self._ring = Ring(_RING)

    def join(self, socket: Socket, since: int | None, epoch: str | None) -> None:
        """Greet a socket, replay what it missed, and push to it from now on."""
        missed = self._ring.since(since) if since is not None and epoch == self.epoch else None
        socket.push_text(hello_text(self.epoch, self._ring.seq, reset=missed is None))
        for frame in missed or ():
            socket.push(frame)
        self.sockets.add(socket)

    async def advance(self, tail: Tail) -> bool:
        """Read once and push; returns whether there may be more right away."""
        rows, self._place = await tail.read(self.tenant_id, self._place)
        for row in rows:
            passed = self._coalescer.offer(row)
            if passed is not None:
                self._push(passed)
        self.flush()
        return bool(rows)

    def flush(self) -> None:
        """Push progress whose time has come."""
        for row in self._coalescer.due():
            self._push(row)

    def _push(self, row: dict[str, Any]) -> None:
        permission = permission_for(row["type"], self._permissions)
        if permission is None:
            return
        frame: Frame = self._ring.push(row, permission)
        for socket in self.sockets:
            socket.push(frame)


def permission_for(event_type: str, permissions: Mapping[str, Permission]) -> Permission | None:
    """What a subject needs to see this event: by the longest prefix; without one nobody sees it."""
    matching = [prefix for prefix in permissions if event_type.startswith(prefix)]
    return permissions[max(matching, key=len)] if matching else None
