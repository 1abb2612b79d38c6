"""The audit log's parts."""

from carillon.gateway.manifest import Manifest

from .endpoints import router

manifest = Manifest(name="identity.audit", routers=(router,))
