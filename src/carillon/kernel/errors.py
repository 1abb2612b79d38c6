"""Business errors: each carries a stable code, a kind (which decides the HTTP status) and data for the reader.

CarillonError
├── Invalid           400  the request itself is wrong; `place` says where
├── Unauthenticated   401  who are you?
├── Forbidden         403  you may not
├── NotFound          404  no such thing, or not yours
├── Conflict          409  the thing is in another state
├── TooLarge          413  more than we take
├── Throttled         429  later; `retry_after` seconds
└── Unavailable       503  something we need is down
    └── SetupError         the machine or configuration is wrong; the message says what to do
"""

from typing import Any, ClassVar


class CarillonError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, *, place: str | None = None, **data: Any) -> None:
        """Create the error.

        Args:
            message: What a person should read; the class docstring's first line when left out.
            place: Where the fault is: a row, field or byte, e.g. `"row 12, field phone"`.
            **data: Values the reader may act on; they go to the client, so never a secret.
        """
        self.message = message or (type(self).__doc__ or "").strip().split("\n")[0]
        self.place = place
        self.data = data
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.place})" if self.place else self.message


class Invalid(CarillonError):
    """The request is not valid."""

    code = "invalid"
    status = 400


class Unauthenticated(CarillonError):
    """Sign in first."""

    code = "unauthenticated"
    status = 401


class Forbidden(CarillonError):
    """You are not allowed to do this."""

    code = "forbidden"
    status = 403


class NotFound(CarillonError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class Conflict(CarillonError):
    """That does not fit the present state."""

    code = "conflict"
    status = 409


class TooLarge(CarillonError):
    """That is larger than we accept."""

    code = "too_large"
    status = 413


class Throttled(CarillonError):
    """Too many requests; try again later."""

    code = "throttled"
    status = 429

    def __init__(self, message: str | None = None, *, retry_after: float, **data: Any) -> None:
        """Create the error; `retry_after` is in seconds."""
        super().__init__(message, retry_after=retry_after, **data)
        self.retry_after = retry_after


class Unavailable(CarillonError):
    """A part we need does not answer."""

    code = "unavailable"
    status = 503


class SetupError(Unavailable):
    """The machine or the configuration is not ready."""

    code = "setup"
