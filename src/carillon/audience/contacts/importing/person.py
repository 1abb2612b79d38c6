"""What a row of a file is understood as."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

REJECTED = "rejected"
DUPLICATE = "duplicate"
WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a row; `kind` says what became of the row."""

    kind: str
    row: int
    byte: int | None
    code: str
    field: str | None
    text: str
    raw: Mapping[str, str]


@dataclass(slots=True)
class Person:
    """A row understood.

    Attributes:
        index: Of the row in its batch; `number` is what a spreadsheet shows.
        addresses: (kind, normal form), without repetition.
        consent: True and False as the file says, None when it does not.
    """

    index: int
    number: int
    addresses: list[tuple[str, str]]
    name: str = ""
    first_name: str | None = None
    last_name: str | None = None
    language: str | None = None
    time_zone: str | None = None
    time_zones: tuple[str, ...] = ()
    country: str | None = None
    tags: tuple[str, ...] = ()
    fields: dict[str, Any] | None = None
    consent: bool | None = None
    consent_at: datetime | None = None
    consent_expires_at: datetime | None = None
    consent_source: str | None = None
    consent_proof: str | None = None


@dataclass(slots=True)
class Complaint:
    """A cell that cannot be used: code, target and text, for a fault of the row."""

    code: str
    target: str
    text: str
