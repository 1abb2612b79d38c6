"""What crosses the boundary of the contacts service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from carillon.storage.database import Tx


class AddressKind(StrEnum):
    """What a person can be known by."""

    PHONE = "phone"
    TELEGRAM_ID = "telegram_id"
    TELEGRAM_USERNAME = "telegram_username"
    WHATSAPP_BSUID = "whatsapp_bsuid"
    WHATSAPP_LID = "whatsapp_lid"
    EMAIL = "email"
    CUSTOM_ID = "custom_id"


class FieldType(StrEnum):
    """What a custom field holds."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Address:
    """An address in its normal form; make it with `addresses.parse_address`."""

    kind: AddressKind
    value: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote to us, as a platform names them.

    Attributes:
        platform: The network the message came by.
        kind: A value of `AddressKind`.
        value: The address as the network writes it.
        name: How the person calls themselves there; only for a new contact.
    """

    platform: str
    kind: str
    value: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """The contact behind a sender.

    Attributes:
        id: The contact.
        language: BCP 47, if known.
    """

    id: UUID
    language: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """An address that belongs to a contact.

    Attributes:
        platform: The network it is of; `*` for phones and e-mail addresses, which are of none.
    """

    id: UUID
    platform: str
    kind: AddressKind
    value: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Contact:
    """A person.

    Attributes:
        language: BCP 47.
        time_zone: IANA name; when unknown `time_zones` holds the candidates, from the phone number.
        country: ISO 3166-1 alpha-2.
        fields: Values of custom fields by key.
        peers: Best address per network.
        consents: Projection of the consent ledger: purpose → network or `*` → status and end.
        merged_into: The contact that took this one's place.
    """

    id: UUID
    name: str
    first_name: str | None
    last_name: str | None
    email: str | None
    language: str | None
    time_zone: str | None
    time_zones: tuple[str, ...]
    country: str | None
    tags: tuple[str, ...]
    fields: Mapping[str, Any]
    peers: Mapping[str, str]
    consents: Mapping[str, Any]
    opted_out_at: datetime | None
    opted_out_source: str | None
    last_inbound_at: datetime | None
    merged_into: UUID | None
    erased_at: datetime | None
    created_at: datetime
    updated_at: datetime
    identities: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True)
class Details:
    """What a person may set on a contact. Make it with `details.check_details`, which normalises.

    In an update an attribute that is `UNSET` stays as it is; `fields` are merged key by key, None removes a key.
    """

    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    language: str | None = None
    time_zone: str | None = None
    country: str | None = None
    tags: tuple[str, ...] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    addresses: tuple[Address, ...] | None = None
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ContactFilter:
    """Which contacts a list, bulk action or export means; everything given must hold.

    Attributes:
        ids: Only these.
        tag: Has the tag.
        platform: Has an address on the network.
        opted_out: Has, or has not, opted out.
        updated_since: Changed at or after.
        query: Part of a name, or the beginning of an address.
    """

    ids: tuple[UUID, ...] | None = None
    tag: str | None = None
    platform: str | None = None
    opted_out: bool | None = None
    updated_since: datetime | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A custom field; `choices` only for type choice."""

    id: UUID
    key: str
    label: str
    type: FieldType
    choices: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BulkAction:
    """A tag given to or taken from many contacts; `count` is how many it changed."""

    id: UUID
    kind: str
    tag: str
    count: int
    created_at: datetime
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class Merge:
    """Two contacts made one."""

    id: UUID
    winner_id: UUID
    loser_id: UUID
    created_at: datetime
    undone_at: datetime | None


class ImportStatus(StrEnum):
    """Where an import stands: uploaded → ready → (checking → ready) → queued → running → one of the last three."""

    UPLOADED = "uploaded"
    READY = "ready"
    CHECKING = "checking"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Import:
    """An import of contacts.

    Attributes:
        size: Bytes of the file; `done_bytes` of them are committed.
        format: What was detected: kind, encoding, dialect, columns, sample, estimated rows.
        suggestion: Mapping proposed from the columns' titles: column → target.
        options: As chosen, see `importing.options`.
        report: Of the last dry run.
        rows: Rows read so far = created + updated + skipped + duplicates + rejected.
        warnings: Values left out of rows that were imported without them.
        opted_out: Contacts that are opted out by this file or were before.
        unsendable: Contacts created or updated without a consent that has proof.
    """

    id: UUID
    file_name: str
    size: int
    status: ImportStatus
    format: Mapping[str, Any]
    suggestion: Mapping[str, Any]
    options: Mapping[str, Any]
    report: Mapping[str, Any]
    done_bytes: int
    rows: int
    created: int
    updated: int
    skipped: int
    duplicates: int
    rejected: int
    warnings: int
    opted_out: int
    unsendable: int
    cancel_requested: bool
    error: Mapping[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImportFault:
    """A row that was not imported, or not as it stands.

    Attributes:
        kind: `rejected`, `duplicate` (of an earlier row) or `warning` (imported without one value).
        row: What a spreadsheet shows beside it.
        byte: Where it begins in the file.
        raw: Its values by column, as read.
    """

    id: UUID
    kind: str
    row: int
    byte: int | None
    code: str
    field: str | None
    text: str
    raw: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Export:
    """A file of contacts: `status` is queued, running, done, failed or expired."""

    id: UUID
    status: str
    filter: Mapping[str, Any]
    size: int | None
    rows: int
    error: Mapping[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


class PersonData(Protocol):
    """What a service above holds about people; registered with `register_person_data` by the runtime."""

    name: str
    """Key of its part in the export of a person."""

    async def export(self, tx: Tx, contact: Contact) -> dict[str, Any]:
        """Everything held about the person, JSON-ready."""
        ...

    async def erase(self, tx: Tx, contact: Contact) -> None:
        """Remove what identifies the person; called once, before the contact's own data goes."""
        ...
