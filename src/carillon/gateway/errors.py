"""What the HTTP kit itself can complain about."""

from typing import Any

from carillon.kernel.errors import CarillonError, Conflict, Forbidden, Invalid, TooLarge, Unauthenticated


class MalformedJson(Invalid):
    """The body is not valid JSON."""

    code = "malformed_json"


class ForbiddenCharacter(Invalid):
    """The text holds a control character, which no field can store."""

    code = "forbidden_character"


class TooDeep(Invalid):
    """The JSON is nested more deeply than any request needs."""

    code = "too_deep"


class BodyTooLarge(TooLarge):
    """The body is larger than we accept here."""

    code = "body_too_large"


class BodyTooSlow(CarillonError):
    """The body did not arrive in time."""

    code = "body_too_slow"
    status = 408


class BodyIncomplete(Invalid):
    """The connection ended before the body did."""

    code = "body_incomplete"


class UnsupportedMediaType(CarillonError):
    """We do not take this kind of content here."""

    code = "unsupported_media_type"
    status = 415


class CrossSite(Forbidden):
    """A change must come from this product's own pages: send it with `Sec-Fetch-Site` or `Origin`, or use a key."""

    code = "cross_site"


class BadIdempotencyKey(Invalid):
    """`Idempotency-Key` takes 1 to 255 visible ASCII characters."""

    code = "bad_idempotency_key"

    def __init__(self, **data: Any) -> None:
        """Create the error."""
        super().__init__(place="header Idempotency-Key", **data)


class IdempotencyKeyReused(CarillonError):
    """That idempotency key was used for another request."""

    code = "idempotency_key_reused"
    status = 422


class IdempotencyInProgress(Conflict):
    """The first request with that idempotency key is still running; try again later."""

    code = "idempotency_in_progress"


class IdempotencyAnswerLost(Conflict):
    """That request was done before, but its answer cannot be read any more."""

    code = "idempotency_answer_lost"


class NoFile(Invalid):
    """The form has no file."""

    code = "no_file"


class TicketInvalid(Unauthenticated):
    """The ticket is unknown, used or older than 30 seconds."""

    code = "ticket_invalid"
