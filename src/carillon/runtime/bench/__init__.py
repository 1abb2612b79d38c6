"""The published figures, one module each: `carillon bench NAME --json`.

Each measures on an embedded database of its own in a folder below `CARILLON_DATA`, beside the machine's own floor for
the same work in the same session, and checks that the work was done right before it reports.
"""

from collections.abc import Mapping

from . import clients, dispatch, imports, plan, startup
from .measuring import Bench

BENCHES: Mapping[str, Bench] = {
    module.BENCH.name: module.BENCH for module in (plan, imports, startup, dispatch, clients)
}

__all__ = ["BENCHES", "Bench"]
