"""The kit's own work on a timetable; `runtime.services` lists this manifest like a service's."""

from carillon.storage.jobs import Timed
from carillon.storage.resources import Resources

from . import idempotency, uploads
from .live import tickets
from .manifest import Manifest


async def purge(resources: Resources) -> None:
    """Forget old idempotency keys, used-up tickets and files of requests that died."""
    await idempotency.purge(resources)
    await tickets.purge(resources)
    await uploads.purge(resources)


manifest = Manifest(name="gateway", timed=(Timed("gateway.purge", "17 * * * *", purge),))
