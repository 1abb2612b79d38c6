"""Pieces of HTTP forms that several services share."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from .places import is_shown_name


def _shown(name: str) -> str:
    if not is_shown_name(name):
        message = "contains characters that cannot be shown"
        raise ValueError(message)
    return name


SHOWN = AfterValidator(_shown)
"""No control characters, no direction overrides."""
ShownName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120), SHOWN]
"""A name that people see."""
