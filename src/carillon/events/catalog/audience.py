"""Published events of the audience cluster. None carries a name or an address: history outlives erasure."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from .base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactCreated(Event):
    """A contact came to be.

    Attributes:
        origin: `manual`, or the network of the message that brought the person.
    """

    type: ClassVar[str] = "contact.created"
    contact_id: UUID
    origin: str

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.contact_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactUpdated(Event):
    """Details of a contact changed.

    Attributes:
        changed: Names of the attributes, never their values.
    """

    type: ClassVar[str] = "contact.updated"
    contact_id: UUID
    changed: tuple[str, ...]

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.contact_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsTagged(Event):
    """Many contacts got or lost a tag in one act.

    Attributes:
        action_id: The bulk action, which knows whom.
        added: Whether they have the tag now.
        count: How many changed.
    """

    type: ClassVar[str] = "contacts.tagged"
    action_id: UUID
    tag: str
    added: bool
    count: int

    @property
    def subject_id(self) -> UUID:
        """The bulk action."""
        return self.action_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsMerged(Event):
    """Two contacts turned out to be one person; what belongs to the loser belongs to the winner now."""

    type: ClassVar[str] = "contact.merged"
    merge_id: UUID
    winner_id: UUID
    loser_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The person who remains."""
        return self.winner_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsUnmerged(Event):
    """A merge was a mistake: the loser is a person of their own again."""

    type: ClassVar[str] = "contact.unmerged"
    merge_id: UUID
    winner_id: UUID
    loser_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The person who had remained."""
        return self.winner_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactErased(Event):
    """Everything that identifies a person was removed."""

    type: ClassVar[str] = "contact.erased"
    contact_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The person who was."""
        return self.contact_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsImported(Event):
    """One batch of an import was committed: one event for thousands of contacts."""

    type: ClassVar[str] = "contacts.imported"
    import_id: UUID
    created: int
    updated: int

    @property
    def subject_id(self) -> UUID:
        """The import."""
        return self.import_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportStarted(Event):
    """An import began, or went on after a restart."""

    type: ClassVar[str] = "import.started"
    import_id: UUID
    resumed: bool

    @property
    def subject_id(self) -> UUID:
        """The import."""
        return self.import_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportProgressed(Event):
    """How far an import is: `done_bytes` of `size`, `rows` so far."""

    type: ClassVar[str] = "import.progressed"
    import_id: UUID
    rows: int
    done_bytes: int
    size: int

    @property
    def subject_id(self) -> UUID:
        """The import."""
        return self.import_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFinished(Event):
    """An import ended.

    Attributes:
        status: `done`, `failed` or `cancelled`.
    """

    type: ClassVar[str] = "import.finished"
    import_id: UUID
    status: str
    created: int
    updated: int
    rejected: int

    @property
    def subject_id(self) -> UUID:
        """The import."""
        return self.import_id
