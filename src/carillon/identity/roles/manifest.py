"""The parts of roles."""

from carillon.gateway.manifest import Manifest

from .endpoints import router

manifest = Manifest(name="identity.roles", routers=(router,))
