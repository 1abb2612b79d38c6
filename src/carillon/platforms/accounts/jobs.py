"""Work of the account pool on a timetable."""

from carillon.storage.jobs import Timed
from carillon.storage.resources import Resources

from . import api


async def tick(resources: Resources) -> None:
    """Let accounts go on that wait for nothing any more."""
    await api.tick(resources)


timed = (Timed("accounts.tick", "* * * * * */10", tick),)
