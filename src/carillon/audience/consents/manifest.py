"""What consents offer to the composition root."""

from carillon.gateway.manifest import Manifest

from .endpoints import people, policies, suppressions

manifest = Manifest(name="audience.consents", routers=(people, suppressions, policies))
