"""Error texts that are kept: enough to see what is wrong, nothing about a person, no secret."""

import re

from sqlalchemy.exc import DBAPIError

from carillon.ops.redaction import redact_text

_LONGEST = 300
_MASKS = (
    # PostgreSQL's details: Key (email)=(ada@example.org) already exists.
    (re.compile(r"\(([^()]*)\)=\(([^()]*)\)"), r"(\1)=(…)"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w"), "…@…"),
    (re.compile(r"'[^']*'"), "'…'"),
    # Long numbers may be telephones; UUIDs stay, they lead to the thing.
    (re.compile(r"(?<![\w-])\+?\d[\d ().-]{5,}\d(?![\w-])"), "…"),
)


def error_class(error: BaseException) -> str:
    """The class that tells most: the driver's below SQLAlchemy's."""
    return type(_origin(error)).__name__


def redact(error: BaseException) -> str:
    """The first line of its message, at most 300 characters, with values and secrets masked.

    SQLAlchemy's own message is never used: it holds the statement's parameters.
    """
    lines = str(_origin(error)).strip().splitlines()
    text = redact_text(lines[0]) if lines else ""
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text[:_LONGEST]


def _origin(error: BaseException) -> BaseException:
    if not isinstance(error, DBAPIError) or error.orig is None:
        return error
    return error.orig.__cause__ or error.orig
