"""Suppressions are hashed from the form in which contacts store addresses, or they would never be found."""

import pytest

from carillon.audience.consents.addresses import KINDS, read_address
from carillon.audience.consents.errors import BadAddress
from carillon.audience.contacts.addresses import parse_address
from carillon.audience.contacts.contracts import AddressKind
from carillon.audience.contacts.errors import AddressInvalid

WRITTEN = [
    ("phone", "+49 30 123456"), ("phone", "0049 (30) 12 34 56"), ("phone", "030 123456"), ("phone", "+1"),
    ("phone", "+86 138 0013 8000"), ("phone", "hello"), ("phone", ""),
    ("telegram_id", "user123"), ("telegram_id", "0123"), ("telegram_id", " 42 "),
    ("telegram_username", "@Ada_L"), ("telegram_username", "https://t.me/Ada_L"), ("telegram_username", "ab"),
    ("whatsapp_bsuid", "US.13491208655302741918"), ("whatsapp_bsuid", "us.1"),
    ("whatsapp_lid", "1234567"), ("whatsapp_lid", "1234567@lid"), ("whatsapp_lid", "12@lid"),
    ("email", "mailto:Ada@Example.org"), ("email", "ada@localhost"), ("custom_id", "Kunde 7"), ("custom_id", "a\x07"),
]  # fmt: skip


def test_the_kinds_are_those_of_contacts():
    assert set(KINDS) == set(AddressKind)


@pytest.mark.parametrize(("kind", "text"), WRITTEN)
def test_addresses_are_read_as_contacts_reads_them(kind, text):
    try:
        wanted = parse_address(kind, text)
    except AddressInvalid:
        with pytest.raises(BadAddress):
            read_address(kind, text)
    else:
        assert read_address(kind, text) == (wanted.kind.value, wanted.value)


def test_an_unknown_kind_is_refused():
    with pytest.raises(BadAddress):
        read_address("fax", "1")
