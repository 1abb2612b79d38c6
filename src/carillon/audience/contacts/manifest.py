"""What contacts offer to the composition root."""

from carillon.gateway.manifest import Manifest

from .endpoints import ROUTERS
from .jobs import JOBS, TIMED

manifest = Manifest(name="audience.contacts", routers=ROUTERS, jobs=JOBS, timed=TIMED)
