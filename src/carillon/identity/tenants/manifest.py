"""The parts of tenants."""

from carillon.gateway.manifest import Manifest

from .endpoints import router

manifest = Manifest(name="identity.tenants", routers=(router,))
