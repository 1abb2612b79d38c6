"""Campaigns, as the composition root sees them."""

from carillon.gateway.manifest import Manifest

from .consumers import consumers
from .endpoints import router
from .jobs import jobs, timed

manifest = Manifest("scheduling.campaigns", routers=(router,), consumers=consumers, jobs=jobs, timed=timed)
