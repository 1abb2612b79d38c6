"""What crosses the boundary of consents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from carillon.kernel.subject import Subject

EVERYWHERE = "*"
"""Stands for every platform."""

Projection = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""`audience.contact.consents`: purpose → platform or `*` → `{"status", "until", "at"}`."""


class Purpose(StrEnum):
    """What a consent is for."""

    MARKETING = "marketing"
    SERVICE = "service"


class Action(StrEnum):
    """What a ledger entry says; the last two cover every platform and purpose."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    OPTED_OUT = "opted_out"
    OPTED_IN = "opted_in"


class Source(StrEnum):
    """How a statement reached us."""

    IMPORT = "import"
    FORM = "form"
    MESSAGE = "message"
    API = "api"
    OPERATOR = "operator"
    PLATFORM = "platform"


class Refusal(StrEnum):
    """Why a person may not be written to; the SQL function `audience.verdict` gives all but the last."""

    OPTED_OUT = "opted_out"
    NO_ADDRESS = "no_address"
    NO_CONSENT = "no_consent"
    CONSENT_EXPIRED = "consent_expired"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    GONE = "gone"
    """Erased, merged into somebody else, or never there."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made an entry: `user`, `api_key`, `system`, `contact` (the person) or `platform`."""

    kind: str
    id: UUID | None = None

    @classmethod
    def of(cls, subject: Subject) -> "Actor":
        """The subject of a request."""
        return cls(subject.kind.value, subject.id)


THE_PERSON = Actor("contact")
"""The person themselves, e.g. by a message."""


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """One statement, to be recorded.

    Attributes:
        platform: The network, or `EVERYWHERE`.
        at: When the person said it, UTC-aware.
        proof: The evidence: the text itself, `https://…`, `blob:<key>` or `message:<id>`. A grant without proof is
            recorded but does not count.
        text_version: Which wording of the consent text was shown.
        expires_at: When a grant ends; None for never.
    """

    contact_id: UUID
    purpose: str
    action: str
    source: str
    at: datetime
    actor: Actor
    platform: str = EVERYWHERE
    proof: str | None = None
    text_version: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the ledger.

    Attributes:
        counts: Whether it has the evidence to change anything (see `projection.counts`).
        recorded_at: When we wrote it down.
    """

    id: UUID
    entry: ConsentEntry
    recorded_at: datetime
    counts: bool


class TemplateData(NamedTuple):
    """What a message template may name about a person."""

    name: str
    first_name: str | None
    last_name: str | None
    fields: Mapping[str, Any]


class Standing(NamedTuple):
    """Whether a person may be written to on one platform for one purpose, and how. A tuple: one is made per message.

    Attributes:
        reason: None when they may; else a `Refusal`.
        peer: The address on that platform.
        time_zones: The known zone alone, else all candidates; empty when nothing is known.
        data: For templates; only when it was asked for.
    """

    reason: str | None
    peer: str | None = None
    language: str | None = None
    time_zones: tuple[str, ...] = ()
    data: TemplateData | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A tenant's rules of contact.

    Attributes:
        quiet_start: Local time from which nobody is sent campaigns …
        quiet_end: … until this one; equal times switch quiet hours off. Whole minutes.
        frequency_max: Most campaign messages a person gets within `frequency_days`; None for no cap.
        time_zone: For people about whom nothing is known.
        stop_words: Opt-out words beyond the built-in ones.
        confirmations: Language (BCP 47) → the text that confirms an opt-out, in place of the built-in one.
    """

    quiet_start: time = time(21)
    quiet_end: time = time(8)
    frequency_max: int | None = 5
    frequency_days: int = 7
    time_zone: str = "UTC"
    stop_words: tuple[str, ...] = ()
    confirmations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that is never written to; the address itself is not kept, only a keyed hash."""

    id: UUID
    kind: str
    reason: str
    source: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What an upload of suppressions did: new addresses, and known people it opted out."""

    added: int
    opted_out: int
