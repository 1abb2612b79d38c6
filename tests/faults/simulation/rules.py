"""What a tenant allows in one history: quiet hours, a frequency cap, people a day; and whether a write keeps to it."""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

OFF = (time(0), time(0))
_NIGHTS = (
    # Histories begin at 12:00:54, so the hours below begin or end six seconds into them.
    (time(12, 1), time(20)),
    (time(6), time(12, 1)),
)
ZONES = ("UTC", "UTC", "UTC", "Asia/Kolkata")


@dataclass
class Rules:
    """The rules of one history.

    Attributes:
        quiet: Local times from which on and until which no campaign message may leave; equal ones for none.
        cap: Most campaign messages a person may get; None for any number.
        people_a_day: Most different people whom each account may write to in a campaign; None for any number.
        zones: The time zone of each person.
        refused: People who have not agreed to marketing, or not any more, and since when (seconds of the history).
    """

    quiet: tuple[time, time] = OFF
    cap: int | None = None
    people_a_day: int | None = None
    zones: dict[UUID, str] = field(default_factory=dict)
    refused: dict[UUID, float] = field(default_factory=dict)

    def is_quiet(self, contact: UUID, moment: datetime) -> bool:
        """Whether it is quiet where the person lives."""
        start, end = self.quiet
        return start <= moment.astimezone(ZoneInfo(self.zones[contact])).time() < end

    def wakes(self, contact: UUID, moment: datetime) -> datetime:
        """When the person's next quiet hours end."""
        local = moment.astimezone(ZoneInfo(self.zones[contact]))
        end = datetime.combine(local.date(), self.quiet[1], local.tzinfo)
        return end if end > local else end + timedelta(days=1)


def draw_rules(seed: int) -> Rules:
    """Most histories have one or two rules, since what all of them hold back shows nothing else."""
    draw = Random(f"rules {seed}")
    return Rules(
        quiet=draw.choice((OFF, OFF, OFF, *_NIGHTS)),
        cap=draw.choice((None, None, 1, 1, 2)),
        people_a_day=draw.choice((None, None, None, 3, 6)),
    )
