"""Typed values to JSON and back, guided by the declared types.

Decoders are made once per type, as closures: consumers read tens of thousands of events a second.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

Decode = Callable[[Any], Any]

MISFIT = (ValueError, TypeError, ArithmeticError)
"""What a decoder raises when the value does not fit."""


class MissingField(ValueError):
    """A field that has no default is not there."""


def encode(value: Any) -> Any:  # noqa: PLR0911 - one line per kind
    """A JSON-ready value; Decimals become text so that no digit is lost."""
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, date):  # datetime too
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value):
        return {item.name: encode(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(encode(key)): encode(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [encode(item) for item in value]
    message = f"an event cannot hold a {type(value).__name__}"
    raise TypeError(message)


@cache
def decoder(kind: Any) -> Decode:  # noqa: PLR0911 - one line per kind
    """A function from a JSON value to what `kind` declares; it raises one of `MISFIT` when it does not fit."""
    if kind is Any or kind is object:
        return lambda value: value
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*arguments)
    if origin in (set, frozenset):
        return _sequence(origin, arguments[0])
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _sequence(list, arguments[0])
    return _literal(arguments) if origin is not None else _plain(kind)


def _plain(kind: Any) -> Decode:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if isinstance(kind, type) and is_dataclass(kind):
        return dataclass_decoder(kind)
    return _same({float: (float, int), dict: (dict,), list: (list,)}.get(kind, (kind,)), kind)


def _same(accepted: tuple[type, ...], kind: Any) -> Decode:
    def decode(value: Any) -> Any:
        # Not isinstance: JSON's true is no number.
        if type(value) not in accepted:
            raise TypeError(kind)
        return kind(value) if kind is float else value

    return decode


def dataclass_decoder(kind: type) -> Decode:
    """Reads a JSON object: extra fields are passed over, missing ones take their defaults."""
    hints = get_type_hints(kind)
    plan = [
        (item.name, decoder(hints[item.name]), item.default is MISSING and item.default_factory is MISSING)
        for item in fields(kind)
    ]

    def decode(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(kind)
        known = {}
        for name, decode_field, required in plan:
            if name in value:
                try:
                    known[name] = decode_field(value[name])
                except MISFIT as error:
                    raise ValueError(name) from error
            elif required:
                raise MissingField(name)
        return kind(**known)

    return decode


def _union(members: tuple[Any, ...]) -> Decode:
    # In the declared order: JSON does not say which member it was.
    decoders = [decoder(member) for member in members if member is not types.NoneType]
    optional = types.NoneType in members

    def decode(value: Any) -> Any:
        if value is None and optional:
            return None
        for decode_member in decoders:
            try:
                return decode_member(value)
            except MISFIT:
                continue
        raise TypeError(members)

    return decode


def _tuple(arguments: tuple[Any, ...]) -> Decode:
    if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004 - tuple[X, ...]
        return _sequence(tuple, arguments[0])
    decoders = [decoder(argument) for argument in arguments]
    return lambda value: tuple(decode_item(item) for decode_item, item in zip(decoders, _items(value), strict=True))


def _sequence(make: Callable[[Any], Any], argument: Any) -> Decode:
    decode_item = decoder(argument)
    return lambda value: make([decode_item(item) for item in _items(value)])


def _mapping(key: Any, item: Any) -> Decode:
    decode_key, decode_item = decoder(key), decoder(item)

    def decode(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(value)
        return {decode_key(name): decode_item(inner) for name, inner in value.items()}

    return decode


def _literal(choices: tuple[Any, ...]) -> Decode:
    def decode(value: Any) -> Any:
        if value not in choices:
            raise ValueError(value)
        return value

    return decode


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


_SCALARS: dict[Any, Decode] = {
    UUID: lambda value: UUID(_text(value)),
    datetime: lambda value: datetime.fromisoformat(_text(value)),
    date: lambda value: date.fromisoformat(_text(value)),
    timedelta: lambda value: timedelta(seconds=value),
    Decimal: lambda value: Decimal(_text(value)),
    types.NoneType: _literal((None,)),
}
