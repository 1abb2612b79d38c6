"""The published figures, one module each: `carillon bench NAME --json`.

Each measures on an embedded database of its own in a folder below `CARILLON_DATA`, beside the machine's own floor for
the same work in the same session, and checks that the work was done right before it reports.
"""

from collections.abc import Mapping

from . import accounts, clients, dispatch, imports, inbound, inbox, live, plan, soak, startup
from .measuring import Bench

_MODULES = (plan, imports, startup, dispatch, inbound, live, accounts, inbox, soak, clients)

BENCHES: Mapping[str, Bench] = {module.BENCH.name: module.BENCH for module in _MODULES}

__all__ = ["BENCHES", "Bench"]
