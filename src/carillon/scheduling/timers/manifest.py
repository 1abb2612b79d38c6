"""Timers, as the composition root sees them."""

from carillon.gateway.manifest import Manifest

from .endpoints import router
from .jobs import timed

manifest = Manifest("scheduling.timers", routers=(router,), timed=timed)
