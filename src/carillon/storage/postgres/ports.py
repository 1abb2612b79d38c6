"""Choose the server's TCP port on 127.0.0.1."""

import secrets
import socket

from .layout import Layout, write_file

_FIRST, _COUNT = 20_000, 10_000
"""Below the range from which systems take ports for outgoing connections: free next time too, as a rule."""
_TRIES = 100


def choose_port(layout: Layout, *, fresh: bool = False) -> int:
    """The port of the last start while it is free, else another free one.

    Args:
        layout: Where the last one is noted.
        fresh: Do not take the last one: somebody got there first.
    """
    last = _last_port(layout)
    if last and not fresh and _is_free(last):
        return last
    for _ in range(_TRIES):
        port = _FIRST + secrets.randbelow(_COUNT)
        if port != last and _is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def remember_port(layout: Layout, port: int) -> None:
    """Note the port for the next start."""
    if port != _last_port(layout):
        write_file(layout.port, f"{port}\n")


def _last_port(layout: Layout) -> int | None:
    try:
        text = layout.port.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16 else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server itself does: an old connection in TIME_WAIT is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
