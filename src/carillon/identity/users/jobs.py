"""Work of users on a timetable."""

from carillon.storage.resources import Resources

from . import api


async def purge(resources: Resources) -> None:
    """Forget expired invitations, and people who belong nowhere any more."""
    await api.purge_invitations(resources)
    await api.purge_orphans(resources)
