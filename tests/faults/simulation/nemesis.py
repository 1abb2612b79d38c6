"""What goes wrong, drawn from the seed: each history has its own choice of faults and its own rates.

A history in which everything fails all the time gets nowhere; one in which one or two things fail often goes deep.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from .links import MARK_SENDING, SETTLE_SENT, Fate

if TYPE_CHECKING:
    from .loop import Process

CALL_FAULTS = (
    "slow_database",
    "lost_before",
    "lost_after",
    "crash_at",
    "freeze_at",
    "clock_jump_at",
    "opt_out_race",
    "status_race",
)
SEND_FAULTS = (
    "send_not_sent",
    "send_lost",
    "reply_lost",
    "send_late",
    "send_hangs",
    "send_raises",
    "send_answers_garbage",
    "flood",
    "reject",
    "reject_as_opt_out",
    "account_refused",
)
UPDATE_FAULTS = ("update_repeated", "updates_reordered", "acknowledgement_lost", "notification_lost")
TIMED_FAULTS = (
    "crash",
    "freeze",
    "database_partition",
    "platform_partition",
    "database_restart",
    "clock_jump",
    "database_clock_jump",
    "orderly_stop",
    "park",
    "remove_account",
    "pause_lane",
    "close_lane",
    "opt_out",
    "withdraw",
    "cancel",
    "resend",
    "sessions_dropped",
)
ALL_FAULTS = (*CALL_FAULTS, *SEND_FAULTS, *UPDATE_FAULTS, *TIMED_FAULTS)


@dataclass
class SendFate:
    """What becomes of one send.

    Attributes:
        there: Seconds until the platform has it; None if it never does.
        back: Seconds until its answer is here; None if it never is.
        breaks: Seconds after which the connector gives up, knowing nothing; None if it waits.
        what: The fault by name; "" for none.
    """

    there: float | None
    back: float | None
    breaks: float | None = None
    what: str = ""
    strike: tuple[str, str] | None = None


class Nemesis:
    """Draws the faults of one history."""

    def __init__(self, seed: int, focus: Sequence[str] = ()) -> None:
        """Choose; the faults in `focus` are among the chosen and happen often."""
        self.draw = Random(f"nemesis {seed}")
        self.active = True
        self.counts: Counter[str] = Counter()
        chosen = self.draw.sample(ALL_FAULTS, k=self.draw.choice((0, 2, 3, 4, 6, 9, 14)))
        self.rates = {name: self.draw.choice((0.2, 1.0, 1.0, 3.0)) for name in chosen}
        self.chaos_seconds = self.draw.choice((4.0, 6.0, 6.0, 8.0, 8.0, 12.0, 12.0, 20.0, 60.0))
        self.rates |= dict.fromkeys(focus, 3.0)
        self.idle_factor = self.draw.choice((1.0, 2.0, 3.0))

    @property
    def clocks_jumped(self) -> bool:
        """Whether the wall clock of any process was wrong for a while."""
        return bool(self.counts["clock_jump"] or self.counts["clock_jump_at"])

    def chance(self, probability: float) -> bool:
        """Heads or tails."""
        return self.draw.random() < probability

    def hits(self, name: str, probability: float) -> bool:
        """Whether this fault happens now; `probability` at its common rate."""
        if not self.active or name not in self.rates:
            return False
        if self.draw.random() >= min(0.9, probability * self.rates[name]):
            return False
        self.counts[name] += 1
        return True

    def database(self, process: "Process", kind: str, label: str) -> Fate:
        """The fate of a call to the database."""
        draw = self.draw
        fate = Fate(there=draw.uniform(0.0002, 0.002), back=draw.uniform(0.0002, 0.002))
        if not self.active:
            return fate
        if self.hits("slow_database", 0.01):
            slow = draw.choice((0.3, 1.5, 4.0, 12.0, 30.0))
            if self.chance(0.5):
                fate.there = slow
            else:
                fate.back = slow
        # A break at commit is what is hard to handle, so it is what happens most.
        often = 4.0 if kind == "commit" else 1.0
        for lost in ("before", "after"):
            if self.hits(f"lost_{lost}", 0.004 * often):
                fate.lost, fate.back = lost, draw.choice((0.001, 0.001, 0.5, 5.0))
                fate.linger = draw.choice((0.0, 0.0, 2.0, 15.0))
        if label.endswith(MARK_SENDING) and self.hits("opt_out_race", 0.2):
            # Between the last check and the intent, or between the intent and the wire.
            fate.race = True
            if kind == "commit":
                fate.back = draw.choice((0.5, 1.5, 4.0))
            else:
                fate.there = draw.choice((0.05, 0.3, 2.0))
        if kind == "commit" and label.endswith(SETTLE_SENT) and self.hits("status_race", 0.3):
            # While a settlement waits to be committed, the status of its message comes in.
            fate.there = draw.choice((0.3, 2.0))
        fate.strike = self._strike(process, 0.003 * often)
        return fate

    def _strike(self, process: "Process", probability: float) -> tuple[str, str] | None:
        if self.hits("crash_at", probability):
            return self.draw.choice(("before", "after")), "crash"
        if process.may_freeze and self.hits("freeze_at", probability):
            return self.draw.choice(("before", "after")), "freeze"
        if self.hits("clock_jump_at", probability):
            return self.draw.choice(("before", "after")), "jump"
        return None

    def send(self, process: "Process") -> SendFate:
        """The fate of a send."""
        draw = self.draw
        fate = SendFate(there=draw.uniform(0.01, 0.1), back=draw.uniform(0.01, 0.1))
        if not self.active:
            return fate
        fate.strike = self._strike(process, 0.01)
        for name in SEND_FAULTS:
            if self.hits(name, 0.02 if name == "account_refused" else 0.06):
                fate.what = name
                break
        match fate.what:
            case "send_lost" | "send_not_sent":
                fate.there, fate.breaks = None, draw.choice((0.01, 1.0, 9.0, None))
            case "reply_lost":
                fate.back, fate.breaks = None, draw.choice((0.5, 3.0, 20.0, None))
            case "send_late":
                fate.there, fate.breaks = draw.choice((3.0, 20.0, 70.0)), draw.choice((0.5, 5.0, None))
            case "send_hangs":
                fate.there, fate.back = draw.choice((None, 0.1)), None
        return fate

    def pause(self) -> float:
        """Seconds between two faults that come by the clock."""
        return self.draw.expovariate(1 / 3.0)

    def timed(self) -> str | None:
        """The next fault that comes by the clock, if this history has any."""
        mine = [name for name in TIMED_FAULTS if name in self.rates]
        if not mine or not self.active:
            return None
        name = self.draw.choices(mine, [self.rates[each] for each in mine])[0]
        self.counts[name] += 1
        return name
