"""Normal forms of addresses, details and custom fields."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audience.contacts import addresses
from carillon.audience.contacts.addresses import best_peers, parse_address
from carillon.audience.contacts.contracts import FieldDefinition, FieldType
from carillon.audience.contacts.details import read_country, read_language, read_zone
from carillon.audience.contacts.errors import AddressInvalid, FieldInvalid
from carillon.audience.contacts.fields import check_definition, check_field, read_field
from carillon.audience.contacts.text import clean, is_safe
from carillon.kernel.ids import uuid7


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("phone", "0049 (30) 123456", "+4930123456"),
        ("telegram_id", "user777", "777"),
        ("telegram_username", "https://t.me/Durov", "durov"),
        ("telegram_username", "@Durov_1", "durov_1"),
        ("whatsapp_bsuid", "US.13491208655302741918", "US.13491208655302741918"),
        ("whatsapp_bsuid", "US.ENT.1349", "US.ENT.1349"),
        ("whatsapp_lid", "123456789", "123456789@lid"),
        ("email", " mailto:Ada@Example.ORG", "ada@example.org"),
        ("custom_id", " 客户-7 ", "客户-7"),
    ],
)
def test_addresses_have_one_form(kind: str, text: str, value: str):
    parsed = parse_address(kind, text)
    assert (parsed.kind, parsed.value) == (kind, value)
    assert parse_address(kind, parsed.value) == parsed


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("phone", "12", "phone_no_country_code"),
        ("telegram_id", "0", "telegram_id_invalid"),
        ("telegram_username", "ab", "telegram_username_invalid"),
        ("telegram_username", "1abc", "telegram_username_invalid"),
        ("whatsapp_bsuid", "us.1", "whatsapp_bsuid_invalid"),
        ("email", "a b@x.org", "email_invalid"),
        ("custom_id", "a\x00b", "custom_id_invalid"),
        ("pigeon", "x", "kind_unknown"),
    ],
)
def test_bad_addresses_say_why(kind: str, text: str, reason: str):
    with pytest.raises(AddressInvalid) as caught:
        parse_address(kind, text)
    assert caught.value.data["reason"] == reason


def test_a_hidden_whatsapp_id_never_passes_for_a_number():
    assert best_peers([parse_address("whatsapp_lid", "4915123456789")]) == {"whatsapp": "4915123456789@lid"}


def test_the_preference_names_only_known_kinds():
    assert {kind for kinds in addresses.PREFERENCE.values() for kind in kinds} == set(addresses.PLATFORM_OF)


@given(st.text())
def test_clean_text_is_safe_and_stays_as_it_is(text: str):
    once = clean(text)
    assert is_safe(once)
    assert clean(once) == once
    assert "  " not in once


def test_emoji_and_joined_scripts_survive():
    for text in ("👩‍👩‍👧", "می‌خواهم", "नमस्ते"):
        assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "tag"),
    [("zh_hans_cn", "zh-Hans-CN"), ("PT-br", "pt-BR"), ("es-419", "es-419"), ("english", None), ("", None)],
)
def test_languages(text: str, tag: str | None):
    assert read_language(text) == tag


def test_zones_and_countries():
    assert read_zone("america/new york") == "America/New_York"
    assert read_zone("GMT+25") is None
    assert read_country("de") == "DE"
    assert read_country("ZZ") is None


def definition(kind: FieldType, *choices: str) -> FieldDefinition:
    return FieldDefinition(uuid7(), "f", "F", kind, choices, datetime.now(UTC))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FieldType.NUMBER, " 4.5 ", 4.5),
        (FieldType.NUMBER, "-3", -3),
        (FieldType.NUMBER, "1e400", None),
        (FieldType.NUMBER, "nan", None),
        (FieldType.BOOLEAN, "是", True),
        (FieldType.BOOLEAN, "No", False),
        (FieldType.BOOLEAN, "perhaps", None),
        (FieldType.DATE, "2026-02-28", "2026-02-28"),
        (FieldType.DATE, "2026-02-30", None),
        (FieldType.CHOICE, " PAID", "paid"),
        (FieldType.CHOICE, "gold", None),
        (FieldType.TEXT, "  a  b ", "a b"),
        (FieldType.TEXT, "x" * 2001, None),
    ],
)
def test_cells_become_typed_values(kind: FieldType, text: str, value: Any):
    found = read_field(definition(kind, "free", "paid"), text)
    assert found == value
    assert type(found) is type(value)


def test_json_values_must_have_the_type():
    fields = {"f": definition(FieldType.NUMBER)}
    assert check_field(fields, "f", None, place="fields.f") is None
    for bad in ("1", True, float("inf"), 1e300, [1]):
        with pytest.raises(FieldInvalid):
            check_field(fields, "f", bad, place="fields.f")


@pytest.mark.parametrize(
    ("key", "label", "kind", "choices"),
    [
        ("1a", "A", FieldType.TEXT, ()),
        ("a", " ", FieldType.TEXT, ()),
        ("a", "A", FieldType.CHOICE, ()),
        ("a", "A", FieldType.TEXT, ("x",)),
        ("a", "A", FieldType.CHOICE, (" ",)),
    ],
)
def test_bad_definitions(key: str, label: str, kind: FieldType, choices: tuple[str, ...]):
    with pytest.raises(FieldInvalid):
        check_definition(key, label, kind, choices)
