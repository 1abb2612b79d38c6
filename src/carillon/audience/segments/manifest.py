"""What segments offer to the composition root."""

from carillon.gateway.manifest import Manifest

from .endpoints import router

manifest = Manifest(name="audience.segments", routers=(router,))
