"""What can be wrong with timers.

CarillonError
├── NotFound   TimerNotFound
├── Invalid    TimerInvalid
└── Conflict   TimerChanged · TooManyTimers
"""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class TimerNotFound(NotFound):
    """There is no such timer."""

    code = "timer_not_found"


class TimerInvalid(Invalid):
    """The timer cannot work as it is."""

    code = "timer_invalid"


class TimerChanged(Conflict):
    """Somebody else changed the timer meanwhile; read it again."""

    code = "timer_changed"


class TooManyTimers(Conflict):
    """There are as many timers as there may be."""

    code = "too_many_timers"
