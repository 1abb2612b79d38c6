"""Work of auth on a timetable."""

from carillon.storage.resources import Resources

from . import api


async def purge(resources: Resources) -> None:
    """Remove ended sessions and attempts that count no more."""
    await api.purge_sessions(resources)
    await api.purge_throttle(resources)
