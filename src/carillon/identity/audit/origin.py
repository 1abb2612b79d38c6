"""Where the running request comes from, so that callers of `record` need not carry it along."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The request behind an act.

    Attributes:
        address: The client's network address.
        request_id: Also in the logs.
    """

    address: str | None = None
    request_id: str | None = None


_origin: ContextVar[Origin] = ContextVar("audit_origin", default=Origin())  # noqa: B039 - frozen


def set_origin(address: str | None, request_id: str | None) -> None:
    """Note the origin for the rest of this request (of its asyncio task)."""
    _origin.set(Origin(address or None, request_id or None))


def current_origin() -> Origin:
    """The request's origin; empty in jobs and on the command line."""
    return _origin.get()
