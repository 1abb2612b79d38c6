"""What proxies offer to the composition root."""

from carillon.gateway.manifest import Manifest

from .endpoints import router
from .jobs import jobs, timed

manifest = Manifest(name="platforms.proxies", routers=(router,), jobs=jobs, timed=timed)
"""The door, the checks on request and every minute."""
