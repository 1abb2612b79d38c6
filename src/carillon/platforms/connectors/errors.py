"""What can come of an attempt to send; the class decides what the ledger does.

SendError
├── NotSent     certainly not accepted: tried again later
│   └── Flooded     the platform said when: the account (or only this chat) waits
├── Rejected    certainly not accepted and never will be: failed, perhaps an opt-out
├── Uncertain   nobody knows: resent with the same key where the platform de-duplicates, else `unknown`
└── AccountError    the account cannot send: its messages are held
    └── LeaseLost       another process owns it: write nothing more
BadWebhook      a call we cannot understand
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

from carillon.kernel.errors import CarillonError, Conflict, Invalid

from .port import AccountState, Update


class FailureClass(StrEnum):
    """Why a message failed, coarse enough to count."""

    RECIPIENT = "recipient"
    CONTENT = "content"
    ACCOUNT = "account"
    PLATFORM = "platform"
    BLOCKED = "blocked"


class SendError(CarillonError):
    """The message was not sent."""

    code: ClassVar[str] = "send_error"

    def __init__(self, message: str | None = None, *, platform_code: str = "") -> None:
        """Create the error; `message` is what the user reads, `platform_code` what the platform said."""
        super().__init__(message, platform_code=platform_code)
        self.platform_code = platform_code


class NotSent(SendError):
    """The platform could not be reached; it will be tried again."""

    code = "not_sent"


class Flooded(NotSent):
    """The platform asked us to wait."""

    code = "flooded"

    def __init__(self, message: str | None = None, *, retry_after: float, only_peer: bool = False) -> None:
        """Create the error; `retry_after` in seconds, for one chat only if `only_peer`."""
        super().__init__(message, platform_code="FLOOD")
        self.retry_after = retry_after
        self.only_peer = only_peer


class Rejected(SendError):
    """The platform refused the message."""

    code = "rejected"

    def __init__(
        self,
        message: str | None = None,
        *,
        failure: FailureClass,
        platform_code: str = "",
        opt_out: bool = False,
    ) -> None:
        """Create the error; with `opt_out` the person told the platform to stop us."""
        super().__init__(message, platform_code=platform_code)
        self.failure = failure
        self.opt_out = opt_out


class Uncertain(SendError):
    """The connection broke before the platform answered; the message may have been sent."""

    code = "uncertain"


class AccountError(SendError):
    """The account cannot send."""

    code = "account_error"

    def __init__(self, message: str | None = None, *, state: AccountState, platform_code: str = "") -> None:
        """Create the error; `state` is what the account is in from now on."""
        super().__init__(message, platform_code=platform_code)
        self.state = state


class LeaseLost(AccountError, Conflict):
    """Another process owns this account now."""

    code = "lease_lost"

    def __init__(self, message: str | None = None) -> None:
        """Create the error."""
        super().__init__(message, state=AccountState.PARKED)


class BadWebhook(Invalid):
    """The webhook's body cannot be understood, or not all of it.

    Attributes:
        understood: The updates beside the fault: a stop word next to nonsense is still a stop word.
    """

    code = "bad_webhook"

    def __init__(
        self, message: str | None = None, *, place: str | None = None, understood: Sequence[Update] = ()
    ) -> None:
        """Create it."""
        self.understood = tuple(understood)
        super().__init__(message, place=place)
