"""What crosses the boundary of segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from .rules import Rule


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored rule.

    Attributes:
        rule: As JSON, as it was written.
        version: Grows with every change; an update names the one it saw.
    """

    id: UUID
    name: str
    description: str
    rule: Mapping[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many people a rule means; `exact` is False when counting took too long and it is the planner's guess."""

    total: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One of a rule's people, as a sample shows them."""

    id: UUID
    name: str
    language: str | None
    country: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """Who of a rule's people may be written to on one platform for one purpose.

    Attributes:
        sendable: People without an obstacle.
        excluded: Reason (`consents.contracts.Refusal`) → people.
    """

    platform: str
    purpose: str
    sendable: int
    excluded: Mapping[str, int]


__all__ = ["Count", "Member", "Reach", "Rule", "Segment"]
