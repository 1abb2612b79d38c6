"""From the cells of a row to a person, or to the reason why not. Pure, and the hot path of the import."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from carillon.audience.contacts.addresses import (
    read_bsuid,
    read_custom_id,
    read_email,
    read_lid,
    read_telegram_id,
    read_username,
)
from carillon.audience.contacts.columns import DateOrder
from carillon.audience.contacts.contracts import FieldDefinition
from carillon.audience.contacts.phones import BadPhone, normalise_phone, time_zones_of

from .cells import SETTERS, Setter, date_setter, field_setter
from .options import ADDRESSES, DATES, FIELD, WHATSAPP_ID, Options
from .person import Complaint, Person


@dataclass(slots=True)
class RowReader:
    """Reads rows by one mapping; made once for a file.

    Attributes:
        columns: The file's.
    """

    columns: Sequence[str]
    options: Options
    definitions: Mapping[str, FieldDefinition]
    now: datetime
    _phones: list[int] = field(init=False)
    _others: list[tuple[int, str, Callable[[str], tuple[str, str] | None]]] = field(init=False)
    _plain: list[tuple[int, str, Setter]] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the columns by how they are read."""
        self._phones, self._others, self._plain = [], [], []
        index = {column: place for place, column in enumerate(self.columns)}
        for column, target in self.options.mapping.items():
            if target == "phone":
                self._phones.append(index[column])
            elif target in ADDRESSES or target == WHATSAPP_ID:
                self._others.append((index[column], target, _ADDRESS_READERS[target]))
            else:
                self._plain.append((index[column], target, self._setter(column, target)))

    def read(self, index: int, number: int, values: Sequence[str]) -> tuple[Person | None, list[Complaint]]:
        """The person of a row, None if it has no usable address, and what could not be used."""
        complaints: list[Complaint] = []
        person = Person(index, number, [], tags=self.options.tags)
        for place in self._phones:
            if text := values[place]:
                self._read_phone(person, text, complaints)
        for place, kind, reader in self._others:
            if text := values[place].strip():
                _read_address(person, kind, reader(text), complaints)
        if not person.addresses:
            return None, complaints or [Complaint("no_address", "", "The row has no address.")]
        for place, target, put in self._plain:
            if (text := values[place]) and (code := put(person, text)):
                complaints.append(_complain(code, target))
        _fill_in(person, self.options)
        return person, complaints

    def _read_phone(self, person: Person, text: str, complaints: list[Complaint]) -> None:
        try:
            phone = normalise_phone(text, self.options.region)
        except BadPhone as error:
            if text.strip():
                complaints.append(Complaint(f"phone_{error.code}", "phone", error.message))
            return
        if ("phone", phone.e164) in person.addresses:
            return
        person.addresses.append(("phone", phone.e164))
        if person.country is None:
            person.country = phone.region

    def _setter(self, column: str, target: str) -> Setter:
        """What puts a cell of this column into a person; it returns the code of a complaint."""
        zone = ZoneInfo(self.options.time_zone or "UTC")
        order = DateOrder(self.options.date_orders.get(column, DateOrder.DAY_FIRST))
        if target.startswith(FIELD):
            return field_setter(self.definitions[target.removeprefix(FIELD)], zone=zone, order=order)
        if target in DATES:
            return date_setter(target, zone=zone, order=order, now=self.now)
        return SETTERS[target]


def _read_address(person: Person, target: str, address: tuple[str, str] | None, complaints: list[Complaint]) -> None:
    if address is None:
        complaints.append(_complain(f"{target}_invalid", target))
    elif address not in person.addresses:
        person.addresses.append(address)


def _fill_in(person: Person, options: Options) -> None:
    """What follows from other cells, or from the options."""
    if not person.name and (person.first_name or person.last_name):
        person.name = " ".join(part for part in (person.first_name, person.last_name) if part)
    if person.time_zone is None:
        person.time_zone = options.time_zone
    if person.time_zone is None:
        # Where the first phone number may be at home.
        phones = (value for kind, value in person.addresses if kind == "phone")
        person.time_zones = next((time_zones_of(phone) for phone in phones), ())


def raw_values(columns: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    """A row as it was read, by column."""
    return dict(zip(columns, values, strict=True))


def _complain(code: str, target: str) -> Complaint:
    return Complaint(code, target, f"That is not a valid value for {target.removeprefix(FIELD).replace('_', ' ')}.")


def _of_kind(kind: str, read: Callable[[str], str | None]) -> Callable[[str], tuple[str, str] | None]:
    def address(text: str) -> tuple[str, str] | None:
        value = read(text)
        return None if value is None else (kind, value)

    return address


def _whatsapp_id(text: str) -> tuple[str, str] | None:
    """Whichever of its ids WhatsApp gave: a hidden one, a business-scoped one, or a number with its server."""
    if text.endswith("@lid"):
        return _of_kind("whatsapp_lid", read_lid)(text)
    number = _WHATSAPP_NUMBER.fullmatch(text)
    if number is None:
        return _of_kind("whatsapp_bsuid", read_bsuid)(text)
    try:
        return "phone", normalise_phone(f"+{number[1]}").e164
    except BadPhone:
        return None


_WHATSAPP_NUMBER = re.compile(r"\+?([0-9]{7,15})(?:@(?:c\.us|s\.whatsapp\.net))?")

_ADDRESS_READERS: Mapping[str, Callable[[str], tuple[str, str] | None]] = {
    "telegram_id": _of_kind("telegram_id", read_telegram_id),
    "telegram_username": _of_kind("telegram_username", read_username),
    "whatsapp_bsuid": _of_kind("whatsapp_bsuid", read_bsuid),
    "whatsapp_lid": _of_kind("whatsapp_lid", read_lid),
    "email": _of_kind("email", read_email),
    "custom_id": _of_kind("custom_id", read_custom_id),
    WHATSAPP_ID: _whatsapp_id,
}
