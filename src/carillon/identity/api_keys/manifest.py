"""The parts of API keys."""

from carillon.gateway.manifest import Manifest

from .endpoints import router

manifest = Manifest(name="identity.api_keys", routers=(router,))
