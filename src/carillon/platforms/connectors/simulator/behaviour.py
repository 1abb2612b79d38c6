"""How the simulated platform and its people behave: rates and delays, all of them data.

Everything is off by default. What happens to one message is drawn from a hash of (seed, account, peer, key),
so a run can be repeated whatever the timing; see `fate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from carillon.kernel.errors import Invalid


class BadBehaviour(Invalid):
    """The simulator's behaviour is not valid."""

    code = "bad_behaviour"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Rates are probabilities from 0 to 1; delays are means in seconds, exponential, cut at ten times the mean.

    Attributes:
        seed: Another seed, another run.
        answer_seconds: Delay of an answer to a send.
        flood_rate: Sends that are first told to wait; the whole account waits with them.
        flood_seconds: How long.
        pair_flood_rate: Sends that are first told to wait, for this chat only.
        lost_answer_rate: Sends accepted although the connection breaks instead of an answer.
        bounce_rate: Peers that do not exist.
        refuse_rate: Peers that had blocked us before we ever wrote.
        block_rate: Peers that block the account after its first message.
        ban_after: Accepted sends after which each of `ban_accounts` is banned; 0 is never.
        ban_accounts: Addresses of those accounts.
        restrict_after: The same for a spam restriction of `restrict_accounts`.
        restrict_accounts: Addresses of those accounts.
        sent_rate: Messages with a `sent` status.
        failed_rate: Messages that fail after they were accepted.
        delivered_rate: Messages that are delivered.
        delivered_seconds: Their delay.
        read_rate: Delivered messages that are read.
        read_seconds: Their delay after delivery.
        skip_delivered_rate: Read messages without a `delivered` status.
        unordered_rate: Read messages whose `delivered` comes last.
        duplicate_rate: Statuses that come twice.
        late_rate: Messages whose statuses are `late_factor` times slower.
        late_factor: See there.
        reply_rate: Messages that get a reply.
        reply_seconds: Its delay.
        stop_rate: Replies that tell us to stop, in some language.
    """

    seed: int = 0
    answer_seconds: float = 0.0
    flood_rate: float = 0.0
    flood_seconds: float = 30.0
    pair_flood_rate: float = 0.0
    lost_answer_rate: float = 0.0
    bounce_rate: float = 0.0
    refuse_rate: float = 0.0
    block_rate: float = 0.0
    ban_after: int = 0
    ban_accounts: tuple[str, ...] = ()
    restrict_after: int = 0
    restrict_accounts: tuple[str, ...] = ()
    sent_rate: float = 0.0
    failed_rate: float = 0.0
    delivered_rate: float = 0.0
    delivered_seconds: float = 1.0
    read_rate: float = 0.0
    read_seconds: float = 5.0
    skip_delivered_rate: float = 0.0
    unordered_rate: float = 0.0
    duplicate_rate: float = 0.0
    late_rate: float = 0.0
    late_factor: float = 10.0
    reply_rate: float = 0.0
    reply_seconds: float = 8.0
    stop_rate: float = 0.0

    def __post_init__(self) -> None:
        """Refuse rates outside 0 to 1 and negative numbers."""
        for spec in fields(self):
            value = getattr(self, spec.name)
            if spec.name.endswith("_rate") and not 0 <= value <= 1:
                raise BadBehaviour("a rate lies between 0 and 1", place=spec.name)
            if spec.name.endswith(("_seconds", "_factor", "_after")) and not 0 <= value < float("inf"):
                raise BadBehaviour("a delay or count is not negative", place=spec.name)


PROFILES: Mapping[str, Behaviour] = {
    "quiet": Behaviour(),
    "demo": Behaviour(
        answer_seconds=0.02,
        flood_rate=0.0005,
        flood_seconds=20.0,
        pair_flood_rate=0.001,
        lost_answer_rate=0.001,
        bounce_rate=0.01,
        refuse_rate=0.003,
        block_rate=0.005,
        sent_rate=0.5,
        failed_rate=0.01,
        delivered_rate=0.94,
        delivered_seconds=1.5,
        read_rate=0.7,
        read_seconds=6.0,
        skip_delivered_rate=0.03,
        unordered_rate=0.03,
        duplicate_rate=0.03,
        late_rate=0.02,
        reply_rate=0.12,
        reply_seconds=10.0,
        stop_rate=0.08,
    ),
}


def behaviour_from(values: Mapping[str, Any], base: Behaviour | None = None) -> Behaviour:
    """`base` (quiet when left out) with `values` put in, which may come from JSON or the command line.

    Raises:
        BadBehaviour: A name is unknown, or a value does not fit it; `place` names it.
    """
    hints = get_type_hints(Behaviour)
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints:
            raise BadBehaviour("no such setting", place=name)
        chosen[name] = _converted(name, hints[name], value)
    return replace(base or PROFILES["quiet"], **chosen)


def _converted(name: str, kind: object, value: Any) -> object:
    """`value` as the field's type."""
    if kind in (int, float):
        try:
            return int(value) if kind is int else float(value)
        except (TypeError, ValueError) as error:
            raise BadBehaviour("a number is needed", place=name) from error
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise BadBehaviour("a list of addresses is needed", place=name)
    return tuple(part for part in parts if part)
