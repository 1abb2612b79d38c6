"""Published events of consents: what people allowed, and when they said stop."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from .base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactOptedOut(Event):
    """A person said stop: nothing is authorised for them from this commit on, on any account.

    Attributes:
        source: How it was said: message, operator, platform, import…
        platform: Where it was said; None when not on a platform.
    """

    type: ClassVar[str] = "contact.opted_out"
    contact_id: UUID
    source: str
    at: datetime
    platform: str | None = None

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.contact_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactOptedIn(Event):
    """A person lifted their opt-out."""

    type: ClassVar[str] = "contact.opted_in"
    contact_id: UUID
    source: str
    at: datetime
    platform: str | None = None

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.contact_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRecorded(Event):
    """A consent was granted or withdrawn, one at a time."""

    type: ClassVar[str] = "consent.recorded"
    contact_id: UUID
    platform: str
    purpose: str
    action: str
    source: str

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.contact_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentsImported(Event):
    """A batch of consents was recorded at once."""

    type: ClassVar[str] = "consents.imported"
    count: int
    import_id: UUID | None = None

    @property
    def subject_id(self) -> UUID | None:
        """The import."""
        return self.import_id
