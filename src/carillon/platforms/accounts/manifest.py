"""What accounts offer to the composition root."""

from carillon.gateway.manifest import Manifest

from .consumers import consumers
from .endpoints import connectors, router
from .jobs import timed

manifest = Manifest(name="platforms.accounts", routers=(router, connectors), consumers=consumers, timed=timed)
"""The door, the consumers of proxies' and messages' events, and the timetable."""
