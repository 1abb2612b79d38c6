"""What becomes of one message: a pure function of the behaviour, the seed and (account, peer, key)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, auto
from hashlib import blake2b
from typing import Any

from .behaviour import Behaviour
from .people import NAMES, REPLIES, STOP_WORDS


class _Roll(IntEnum):
    """One independent draw each; a new one goes to the end, or every seed tells another story."""

    ANSWER = 0
    FLOOD = auto()
    PAIR_FLOOD = auto()
    LOST_ANSWER = auto()
    FAILED = auto()
    SENT = auto()
    DELIVERED = auto()
    DELIVERED_DELAY = auto()
    READ = auto()
    READ_DELAY = auto()
    ORDER = auto()
    DUPLICATE = auto()
    LATE = auto()
    REPLY = auto()
    REPLY_DELAY = auto()
    REPLY_TEXT = auto()


class Dice:
    """Sixteen draws that depend on nothing but the seed and the names."""

    __slots__ = ("_digest",)

    def __init__(self, seed: int, *names: str) -> None:
        """Draw them."""
        text = "\x1f".join((str(seed), *names))
        self._digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=64).digest()

    def roll(self, which: int) -> float:
        """A number from 0 up to, not including, 1."""
        return int.from_bytes(self._digest[4 * which : 4 * which + 4]) / 2**32

    def delay(self, which: int, mean: float) -> float:
        """An exponential delay in seconds, at most ten times its mean."""
        return mean * min(10.0, -math.log1p(-self.roll(which)))


@dataclass(frozen=True, slots=True)
class PeerFate:
    """What a person is like, whoever writes and whenever."""

    exists: bool
    refuses: bool
    blocks: bool


@dataclass(frozen=True, slots=True)
class SendFate:
    """What happens while a message is sent; delays in seconds."""

    answer_delay: float
    flood: float | None
    pair_flood: float | None
    answer_lost: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """An update that follows an accepted message after `delay` seconds; with `stop` the person opts out."""

    delay: float
    update: dict[str, Any] = field(hash=False)
    stop: bool = False


def peer_fate(behaviour: Behaviour, peer: str) -> PeerFate:
    """What this person is like."""
    dice = Dice(behaviour.seed, "peer", peer)
    return PeerFate(
        exists=dice.roll(0) >= behaviour.bounce_rate,
        refuses=dice.roll(1) < behaviour.refuse_rate,
        blocks=dice.roll(2) < behaviour.block_rate,
    )


def send_fate(behaviour: Behaviour, account: str, peer: str, key: int) -> SendFate:
    """What happens while this message is sent for the first time."""
    dice = Dice(behaviour.seed, account, peer, str(key))
    flooded = dice.roll(_Roll.FLOOD) < behaviour.flood_rate
    pair_flooded = dice.roll(_Roll.PAIR_FLOOD) < behaviour.pair_flood_rate
    return SendFate(
        answer_delay=dice.delay(_Roll.ANSWER, behaviour.answer_seconds),
        flood=behaviour.flood_seconds if flooded else None,
        pair_flood=behaviour.flood_seconds if pair_flooded else None,
        answer_lost=dice.roll(_Roll.LOST_ANSWER) < behaviour.lost_answer_rate,
    )


def planned_updates(
    behaviour: Behaviour, account: str, peer: str, key: int, *, message_id: str, platform_id: str
) -> tuple[Planned, ...]:
    """Everything the platform will tell us because it accepted this message, in no order."""
    dice = Dice(behaviour.seed, account, peer, str(key))
    names = {"id": message_id, "pid": platform_id}
    plans = list(_statuses(behaviour, dice, names))
    if dice.roll(_Roll.DUPLICATE) < behaviour.duplicate_rate:
        plans += [Planned(plan.delay * 1.5, plan.update) for plan in plans]
    if dice.roll(_Roll.LATE) < behaviour.late_rate:
        plans = [Planned(plan.delay * behaviour.late_factor, plan.update) for plan in plans]
    plans += _reply(behaviour, dice, peer, platform_id)
    if peer_fate(behaviour, peer).blocks:
        delay = dice.delay(_Roll.REPLY_DELAY, behaviour.reply_seconds)
        plans.append(Planned(delay, {"kind": "blocked", "peer": peer}, stop=True))
    return tuple(plans)


def _statuses(behaviour: Behaviour, dice: Dice, names: dict[str, str]) -> Iterator[Planned]:
    """Each status once."""
    if dice.roll(_Roll.FAILED) < behaviour.failed_rate:
        failed = {"status": "failed", "error_class": "recipient", "error_code": "131026"}
        text = {"error_text": "The platform could not deliver the message."}
        yield Planned(behaviour.delivered_seconds, {"kind": "status", **names, **failed, **text})
        return
    if dice.roll(_Roll.SENT) < behaviour.sent_rate:
        yield Planned(0.0, {"kind": "status", **names, "status": "sent"})
    if dice.roll(_Roll.DELIVERED) >= behaviour.delivered_rate:
        return
    delivered = dice.delay(_Roll.DELIVERED_DELAY, behaviour.delivered_seconds)
    read = None
    if dice.roll(_Roll.READ) < behaviour.read_rate:
        read = delivered + dice.delay(_Roll.READ_DELAY, behaviour.read_seconds)
        yield Planned(read, {"kind": "status", **names, "status": "read"})
    order = dice.roll(_Roll.ORDER)
    if read is not None and order < behaviour.skip_delivered_rate:
        return
    if read is not None and order < behaviour.skip_delivered_rate + behaviour.unordered_rate:
        delivered = read + 0.5
    yield Planned(delivered, {"kind": "status", **names, "status": "delivered"})


def _reply(behaviour: Behaviour, dice: Dice, peer: str, platform_id: str) -> Iterator[Planned]:
    """What the person answers, if at all; the draw below the rate also decides whether it is a stop word."""
    draw = dice.roll(_Roll.REPLY)
    if draw >= behaviour.reply_rate:
        return
    stop = draw < behaviour.reply_rate * behaviour.stop_rate
    texts = STOP_WORDS if stop else REPLIES
    choice = dice.roll(_Roll.REPLY_TEXT)
    message = {
        "kind": "message",
        "chat": peer,
        "sender": peer,
        "pid": f"{platform_id}.r",
        "text": texts[int(choice * len(texts))],
        "name": NAMES[int(Dice(behaviour.seed, "name", peer).roll(0) * len(NAMES))],
        "reply_to": platform_id if choice < 0.5 else None,  # noqa: PLR2004 - every other person quotes us
    }
    yield Planned(dice.delay(_Roll.REPLY_DELAY, behaviour.reply_seconds), message, stop=stop)
