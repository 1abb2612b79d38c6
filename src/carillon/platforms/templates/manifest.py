"""What templates offer to the composition root."""

from carillon.gateway.manifest import Manifest

from .endpoints import router

manifest = Manifest(name="platforms.templates", routers=(router,))
"""The door."""
