"""The base of every published event, and the register that reads them back from the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar
from uuid import UUID

from .codec import MISFIT, Decode, dataclass_decoder, encode

_types: dict[str, type["Event"]] = {}
_readers: dict[type["Event"], Decode] = {}


class BrokenEvent(Exception):
    """A stored payload does not fit its type any more: the type was changed against its rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; a fact, named in the past tense.

    A subclass is a frozen dataclass with a `type` (`noun.verb`) and fields of JSON's types, UUID, datetime, date,
    timedelta, Decimal, StrEnum, nested dataclasses, and lists, tuples and dicts of these. Fields are only ever
    added, with a default: old events must stay readable.
    """

    type: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the type; two events cannot share a name."""
        # dataclass(slots=True) makes the class anew, so the same name may register twice from one place.
        if "type" in cls.__dict__:
            known = _types.get(cls.type)
            if known is not None and (known.__module__, known.__name__) != (cls.__module__, cls.__name__):
                message = f"event type {cls.type} is declared twice"
                raise TypeError(message)
            _types[cls.type] = cls

    @property
    def subject_id(self) -> UUID | None:
        """The thing it happened to: its history is found by this id."""
        return None

    def dump(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return {item.name: encode(getattr(self, item.name)) for item in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(Event):
    """A stored event whose type this program does not know, or whose payload it cannot read.

    Listings show it; consumers, which name the types they want, never get it.
    """

    stored_type: str
    payload: Mapping[str, Any] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """The payload as it was stored."""
        return dict(self.payload)


def event_types() -> dict[str, type[Event]]:
    """All known types by name."""
    return dict(_types)


def name_of(event: Event) -> str:
    """The event's type name as stored, also of an unknown one."""
    return event.stored_type if isinstance(event, UnknownEvent) else event.type


def load(name: str, payload: Mapping[str, Any]) -> Event:
    """Read an event back: extra fields are passed over, missing ones take their defaults.

    A type nobody declares becomes an `UnknownEvent`.

    Raises:
        BrokenEvent: A field without default is missing or a value is of another kind.
    """
    known = _types.get(name)
    if known is None:
        return UnknownEvent(stored_type=name, payload=payload)
    read = _readers.get(known)
    if read is None:
        read = _readers[known] = dataclass_decoder(known)
    try:
        event: Event = read(payload)
    except MISFIT as error:
        message = f"{name} cannot be read from the store: field {error}"
        raise BrokenEvent(message) from error
    return event
