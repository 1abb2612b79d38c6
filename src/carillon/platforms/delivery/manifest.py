"""What delivery offers to the composition root; what needs connectors is put together there."""

from carillon.gateway.manifest import Manifest

from .consumers import consumers
from .endpoints import delivery_router, router
from .jobs import timed

manifest = Manifest(name="platforms.delivery", routers=(router, delivery_router), consumers=consumers, timed=timed)
"""The messages' door, and what accounts' states do to them."""
