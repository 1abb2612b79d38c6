"""The state machine of an account, as data.

`banned`, `signed_out` and `parked` stop an account: no process runs it. A platform's word leads into every state but
never out of these three; an operator signs in again or unparks, and the product itself resumes what it parked.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from carillon.platforms.connectors.port import AccountState as S


class By(StrEnum):
    """On whose word a state changes."""

    PLATFORM = "platform"
    """A connector's, or the process that runs the account."""
    PRODUCT = "product"
    """The timetable and the proxies' health."""
    OPERATOR = "operator"


_RUNNING = frozenset({S.SIGNING_IN, S.ONLINE, S.DEGRADED, S.FLOODED, S.RESTRICTED})
_STOPS = frozenset({S.BANNED, S.SIGNED_OUT, S.PARKED})
_FROM_RUNNING = _RUNNING | _STOPS

ALLOWED: Mapping[By, Mapping[S, frozenset[S]]] = MappingProxyType(
    {
        By.PLATFORM: MappingProxyType(
            {
                S.NEW: _FROM_RUNNING,
                **dict.fromkeys(_RUNNING, _FROM_RUNNING),
                # Worse news still counts while an account is still.
                S.PARKED: frozenset({S.PARKED, S.BANNED, S.SIGNED_OUT}),
                S.SIGNED_OUT: frozenset({S.SIGNED_OUT, S.BANNED}),
                S.BANNED: frozenset({S.BANNED}),
            }
        ),
        By.PRODUCT: MappingProxyType(
            {
                S.NEW: frozenset({S.PARKED}),
                **dict.fromkeys(_RUNNING, frozenset({S.PARKED})),
                S.FLOODED: frozenset({S.PARKED, S.ONLINE, S.NEW}),
                S.PARKED: frozenset({S.PARKED, S.NEW}),
                S.SIGNED_OUT: frozenset(),
                S.BANNED: frozenset(),
            }
        ),
        By.OPERATOR: MappingProxyType(
            {
                S.NEW: frozenset({S.PARKED}),
                **dict.fromkeys(_RUNNING, frozenset({S.PARKED})),
                S.PARKED: frozenset({S.NEW, S.PARKED}),
                S.SIGNED_OUT: frozenset({S.NEW}),
                S.BANNED: frozenset({S.NEW}),
            }
        ),
    }
)
"""Who may bring an account from which state into which."""


def may_enter(before: S, after: S, by: By) -> bool:
    """Whether the change is allowed."""
    return after in ALLOWED[by][before]
