"""Ends this process when the one that started it is gone, however that ended: also by SIGKILL.

The parent holds the other end of our standard input and never writes. The system closes it with the parent, on every
platform; a signal on the parent's death exists on Linux alone.
"""

import os
import signal
import threading
import time

VARIABLE = "CARILLON_LIFELINE"
"""Set to 1 by a parent that holds our standard input; without it standard input means nothing."""

_PATIENCE = 20.0


def hold() -> bool:
    """Begin to watch the parent, if it asked for that; returns whether it did. Our own children are not asked."""
    if os.environ.pop(VARIABLE, None) != "1":
        return False
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()
    return True


def _watch() -> None:
    while os.read(0, 1):
        pass
    # In good order first: leases are handed over, statuses written.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)
