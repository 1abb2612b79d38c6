"""The parts of auth."""

from carillon.gateway.manifest import Manifest
from carillon.storage.jobs import Timed

from .endpoints import open_router, router
from .jobs import purge

manifest = Manifest(
    name="identity.auth", routers=(open_router, router), timed=(Timed("auth.purge", "*/15 * * * *", purge),)
)
