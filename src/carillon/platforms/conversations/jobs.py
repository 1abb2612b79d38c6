"""Work of conversations on a timetable."""

from carillon.storage.jobs import Timed
from carillon.storage.resources import Resources

from . import api


async def wake(resources: Resources) -> None:
    """Open what was snoozed until now."""
    await api.wake(resources)


async def tidy(resources: Resources) -> None:
    """Forget old bulk acts."""
    await api.tidy(resources)


async def fold(resources: Resources) -> None:
    """Keep the tallies few."""
    await api.fold(resources)


timed = (
    Timed("conversations.wake", "* * * * * */15", wake),
    Timed("conversations.fold", "* * * * *", fold),
    Timed("conversations.tidy", "41 3 * * *", tidy),
)
