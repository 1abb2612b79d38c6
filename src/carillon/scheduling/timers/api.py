"""The door to timers.

Does: keeps a tenant's timetable and does what is due, each time once. Must not: send anything itself; its actions use
the doors of other services, above all that of campaigns.
"""

from .contracts import Missed, Outcome, Timer, TimerPlan, TimerRun, Trigger
from .running import run_now, tick
from .service import create, delete, get, history, list_timers, update

__all__ = [
    "Missed",
    "Outcome",
    "Timer",
    "TimerPlan",
    "TimerRun",
    "Trigger",
    "create",
    "delete",
    "get",
    "history",
    "list_timers",
    "run_now",
    "tick",
    "update",
]
