"""The parts of users."""

from carillon.gateway.manifest import Manifest
from carillon.storage.jobs import Timed

from .endpoints import router
from .jobs import purge

manifest = Manifest(name="identity.users", routers=(router,), timed=(Timed("users.purge", "17 3 * * *", purge),))
