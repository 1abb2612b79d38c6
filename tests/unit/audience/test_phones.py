"""Telephone numbers: the short way equals the library, and every kind of dirt is understood or named."""

from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers.timezone import time_zones_for_number

from carillon.audience.contacts import phones
from carillon.audience.contacts.phone_plans import region_plan, short_international
from carillon.audience.contacts.phones import BadPhone, Phone, UnknownRegion, normalise_phone, time_zones_of

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def outcome(call: Callable[..., Phone | str], *given: str | None) -> Phone | str:
    try:
        return call(*given)
    except BadPhone as error:
        return error.code


def examples() -> list[phonenumbers.PhoneNumber]:
    found = []
    for region in REGIONS:
        for kind in range(11):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                found.append(number)
    return found


EXAMPLES = examples()


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(CODES), st.text("0123456789", min_size=1, max_size=13))
@example(54, "1115234567")
@example(39, "0612345678")
@example(1, "2684641234")
@example(52, "15512345678")
def test_the_short_international_way_equals_the_library(code, national):
    number = f"+{code}{national}"
    short = short_international(number)
    assert short is None or short == outcome(phones._by_library, number, None)


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(REGIONS), st.sampled_from(["", "0", "1", "8", "00"]), st.text("0123456789", min_size=2, max_size=12)
)
@example("RU", "8", "1049301234")
@example("BY", "8", "03855410")
def test_the_short_national_way_equals_the_library(region, trunk, national):
    number = trunk + national
    short = region_plan(region).short(number)
    assert short is None or short == outcome(phones._by_library, number, region)


def test_every_example_number_is_the_library_s():
    short = 0
    for number in EXAMPLES:
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        region = phonenumbers.region_code_for_number(number)
        national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        expected = outcome(phones._by_library, e164, None)
        assert outcome(normalise_phone, e164) == expected
        short += short_international(e164) is not None
        bare = outcome(phones._bare, national)
        if isinstance(bare, str) and bare.isdigit() and not bare.startswith("00"):
            got = outcome(normalise_phone, national, region)
            assert got == outcome(phones._by_library, bare, region)
    assert short > len(EXAMPLES) * 0.8


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.sampled_from([None, "CN", "US", "DE"]))
def test_any_text_is_a_number_or_a_named_fault(text, region):
    result = outcome(normalise_phone, text, region)
    assert result != "bad_phone"
    if isinstance(result, Phone):
        assert normalise_phone(result.e164) == result


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("+8613800138000", None, "+8613800138000"),
        ("+86 138-0013-8000", None, "+8613800138000"),
        ("＋８６　１３８００１３８０００", None, "+8613800138000"),
        ("\u202a+86 138\u00a00013 8000\u202c", None, "+8613800138000"),
        ("008613800138000", None, "+8613800138000"),
        ("0086 138 0013 8000", "CN", "+8613800138000"),
        ("8613800138000", "CN", "+8613800138000"),
        ("13800138000", "cn", "+8613800138000"),
        ("'13800138000", "CN", "+8613800138000"),
        ('="13800138000"', "CN", "+8613800138000"),
        ("13800138000.0", "CN", "+8613800138000"),
        ("电话：13800138000", "CN", "+8613800138000"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("011 44 20 7946 0958", "US", "+442079460958"),
        ("tel:+1-415-555-2671", None, "+14155552671"),
        ("+44 (0)20 7946 0958", None, "+442079460958"),
        ("07911 123456", "GB", "+447911123456"),
        ("٠١٠٠١٢٣٤٥٦٧", "EG", "+201001234567"),
        ("۰۹۱۲۳۴۵۶۷۸۹", "IR", "+989123456789"),
        ("8 (916) 123-45-67", "RU", "+79161234567"),
        ("030/12345678", "DE", "+493012345678"),
        ("+39 06 1234 5678", None, "+390612345678"),
        ("+54 9 11 2345-6789", None, "+5491123456789"),
        ("+86–138–0013–8000", None, "+8613800138000"),
    ],
)
def test_understands(text, region, e164):
    assert normalise_phone(text, region).e164 == e164


@pytest.mark.parametrize(
    ("text", "region", "code"),
    [
        ("", None, "empty"),
        ("  ", "CN", "empty"),
        ("13800138000", None, "no_country_code"),
        ("+86138", None, "too_short"),
        ("+86138001380001234", None, "too_long"),
        ("1" * 100, "CN", "too_long"),
        ("8.61E+12", "CN", "damaged_by_spreadsheet"),
        ("8,61386E+12", None, "damaged_by_spreadsheet"),
        ("1.38E10", "CN", "damaged_by_spreadsheet"),
        ("1-800-FLOWERS", "US", "letters"),
        ("+1 415 555 2671 ext. 12", None, "letters"),
        ("none", "CN", "not_a_number"),
        ("-", "CN", "not_a_number"),
        ("++8613800138000", None, "not_a_number"),
        ("13800138000;13900139000", "CN", "several_numbers"),
        ("+999123456789", None, "unknown_country_code"),
        ("+999123456789", "CN", "unknown_country_code"),
        ("00", None, "not_a_number"),
        ("+", None, "not_a_number"),
    ],
)
def test_says_why_not(text, region, code):
    assert outcome(normalise_phone, text, region) == code


def test_regions():
    assert normalise_phone("+8613800138000").region == "CN"
    assert normalise_phone("+16135550123").region == "CA"
    assert normalise_phone("+77010001234").region == "KZ"
    assert normalise_phone("+80012345678").region is None
    with pytest.raises(UnknownRegion):
        normalise_phone("13800138000", "XX")


@pytest.mark.parametrize(
    ("e164", "zones"),
    [
        ("+8613800138000", {"Asia/Shanghai"}),
        ("+493012345678", {"Europe/Berlin"}),
        ("+12125551234", {"America/New_York"}),
        ("+18682911234", {"America/Port_of_Spain"}),
        ("+99999", set()),
    ],
)
def test_time_zones(e164, zones):
    assert set(time_zones_of(e164)) == zones


def test_a_mobile_number_may_be_anywhere_in_its_country():
    assert len(time_zones_of("+79161234567")) > 8
    assert {"Australia/Sydney", "Australia/Perth"} <= set(time_zones_of("+61412345678"))


def test_fixed_lines_have_the_library_s_zones():
    for region in REGIONS:
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.FIXED_LINE)
        if number is not None:
            e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            assert set(time_zones_of(e164)) == set(time_zones_for_number(number)) - {"Etc/Unknown"}
