"""The pure parts of the import: rows, matching, array literals, options."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audience.consents.contracts import Actor
from carillon.audience.contacts.errors import MappingInvalid
from carillon.audience.contacts.importing.arrays import ids, instants, numbers, texts
from carillon.audience.contacts.importing.consent import ConsentReader
from carillon.audience.contacts.importing.matching import Known, match
from carillon.audience.contacts.importing.options import ConsentRule, Options, load_options, make_options
from carillon.audience.contacts.importing.person import Person
from carillon.audience.contacts.importing.rows import RowReader
from carillon.audience.contacts.importing.writing import array_literal
from carillon.kernel.ids import uuid7

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PHONE = "+4915123456789"


def read(cells: dict[str, str], **options: object) -> tuple[Person | None, list[str]]:
    mapping = {column: column.removesuffix("2") for column in cells}
    reader = RowReader(list(cells), Options(mapping, **options), {}, NOW)  # type: ignore[arg-type]
    person, complaints = reader.read(0, 2, list(cells.values()))
    return person, [complaint.code for complaint in complaints]


def test_two_phones_are_two_addresses_and_one_twice_is_one():
    person, codes = read({"phone": PHONE, "phone2": "0049 1512 3456780"})
    assert person is not None
    assert person.addresses == [("phone", PHONE), ("phone", "+4915123456780")]
    person, _ = read({"phone": PHONE, "phone2": "0049 1512 3456789"})
    assert person is not None
    assert person.addresses == [("phone", PHONE)]
    assert codes == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("4915123456789@s.whatsapp.net", ("phone", PHONE)),
        ("4915123456789", ("phone", PHONE)),
        ("99887766554433@lid", ("whatsapp_lid", "99887766554433@lid")),
        ("US.1349", ("whatsapp_bsuid", "US.1349")),
    ],
)
def test_a_whatsapp_id_tells_its_kind(text: str, address: tuple[str, str]):
    person, _ = read({"whatsapp_id": text})
    assert person is not None
    assert person.addresses == [address]


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        ({"phone": "", "name": "A"}, ["no_address"]),
        ({"phone": "abc"}, ["phone_not_a_number"]),
        ({"telegram_username": "a b"}, ["telegram_username_invalid"]),
        ({"whatsapp_id": "?"}, ["whatsapp_id_invalid"]),
    ],
)
def test_rows_without_an_address(cells: dict[str, str], codes: list[str]):
    assert read(cells) == (None, codes)


def test_dates_follow_the_zone_and_the_order_of_their_column():
    person, _ = read({"phone": PHONE, "consent_at": "03/04/2026"}, time_zone="Asia/Shanghai")
    assert person is not None
    assert person.consent_at == datetime(2026, 4, 2, 16, tzinfo=UTC)
    orders = {"consent_at": "month_first"}
    person, _ = read({"phone": PHONE, "consent_at": "03/04/2026"}, date_orders=orders)
    assert person is not None
    assert person.consent_at == datetime(2026, 3, 4, tzinfo=UTC)


def test_a_consent_from_the_future_is_none_but_a_clock_may_run_ahead():
    person, codes = read({"phone": PHONE, "consent_at": "2026-11-05"})
    assert person is not None
    assert (person.consent_at, codes) == (None, ["consent_at_future"])
    person, codes = read({"phone": PHONE, "consent_at": "2026-11-01T18:00:00Z"})
    assert person is not None
    assert (person.consent_at, codes) == (NOW, [])


def test_the_name_is_made_of_its_parts_and_the_zone_ends_the_candidates():
    person, _ = read({"phone": "+12125550123", "first_name": "Ada", "last_name": "L"})
    assert person is not None
    assert person.name == "Ada L"
    assert "America/New_York" in person.time_zones
    person, _ = read({"phone": "+12125550123"}, time_zone="Asia/Shanghai")
    assert person is not None
    assert (person.time_zone, person.time_zones) == ("Asia/Shanghai", ())


def person(number: int, *addresses: tuple[str, str]) -> Person:
    return Person(number, number, list(addresses))


def known(contact_id: UUID, row: int | None = None) -> Known:
    return Known(contact_id, row, None, {})


def test_rows_are_new_known_or_repeated():
    ada, key = uuid7(), ("phone", PHONE)
    rows = [person(2, key), person(3, ("telegram_id", "7")), person(4, key), person(5, ("telegram_id", "7"))]
    result = match(rows, {key: known(ada)})
    assert [owner.contact_id for owner, _ in result.known] == [ada]
    assert [one.number for _, one in result.new] == [3]
    assert [(contact, one.number) for contact, one in result.repeated] == [(ada, 4), (result.new[0][0], 5)]
    assert ["row 2" in why.text or "row 3" in why.text for _, _, why in result.complaints] == [True, True]


def test_an_earlier_batch_of_the_same_import_is_remembered():
    result = match([person(9, ("phone", PHONE))], {("phone", PHONE): known(uuid7(), row=4)})
    assert not result.known
    assert "row 4" in result.complaints[0][2].text


def test_an_email_decides_only_where_there_is_nothing_else():
    ada, mail = uuid7(), ("email", "f@x.org")
    result = match([person(2, ("phone", PHONE), mail), person(3, mail)], {mail: known(ada)})
    assert [one.addresses for _, one in result.new] == [[("phone", PHONE)]]
    assert [owner.contact_id for owner, _ in result.known] == [ada]


def test_a_row_about_two_contacts_is_rejected():
    one, two = ("phone", PHONE), ("telegram_id", "7")
    result = match([person(2, one, two)], {one: known(uuid7()), two: known(uuid7())})
    assert (result.rejected, result.new, result.known) == (1, [], [])


def test_what_counts_as_sendable():
    reader = ConsentReader(ConsentRule(platforms=("telegram", "whatsapp")), Actor("system"), NOW)
    someone, contact_id = person(2, ("phone", PHONE)), uuid7()
    assert reader.grants(someone, contact_id) == []
    someone.consent, someone.consent_at = True, NOW - timedelta(days=1)
    entries = reader.grants(someone, contact_id)
    assert [entry.platform for entry in entries] == ["telegram", "whatsapp"]
    assert not reader.is_sendable(entries)
    someone.consent_proof = "form"
    assert reader.is_sendable(reader.grants(someone, contact_id))
    someone.consent_expires_at = NOW
    assert not reader.is_sendable(reader.grants(someone, contact_id))
    someone.consent = False
    assert reader.grants(someone, contact_id) == []


def test_remembered_projections_are_not_mixed_up():
    reader = ConsentReader(ConsentRule(), Actor("system"), NOW)
    seen = set()
    for proof in (None, "form"):
        for days in (1, 2):
            for until in (None, NOW):
                someone = person(2, ("phone", PHONE))
                someone.consent, someone.consent_at = True, NOW - timedelta(days=days)
                someone.consent_proof, someone.consent_expires_at = proof, until
                seen.add(reader.projection(reader.grants(someone, uuid7())))
    assert len(seen) == 5  # nothing counts without proof


def parse_array(literal: str) -> list[str]:
    """An array literal of quoted elements, read back by the rules of PostgreSQL's manual, 8.15.6."""
    assert literal[0] + literal[-1] == "{}"
    found, inside, current, place = [], False, "", 1
    while place < len(literal) - 1:
        letter = literal[place]
        if inside and letter == "\\":
            place += 1
            current += literal[place]
        elif letter == '"':
            inside = not inside
            if not inside:
                found.append(current)
                current = ""
        elif inside:
            current += letter
        else:
            assert letter == ","
        place += 1
    return found


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
def test_array_literals_are_what_went_in(values: list[str]):
    assert parse_array(texts(values)) == values
    assert parse_array(array_literal(tuple(values))) == values


def test_other_literals():
    one = uuid7()
    assert ids([one]) == f"{{{one.hex}}}"
    assert numbers([1, 22]) == "{1,22}"
    assert instants([None, NOW]) == "{NULL,2026-11-01T12:00:00+00:00}"
    assert texts([None, ""]) == '{"",""}'


def test_options_survive_being_stored():
    rule = {"platforms": ["telegram", "*"], "at": NOW, "until": NOW + timedelta(days=9), "proof": "form"}
    made = make_options({"mapping": {"a": "phone"}, "region": "de", "time_zone": "asia/shanghai", "consent": rule})
    assert made.consent is not None
    assert (made.region, made.time_zone, made.consent.platforms) == ("DE", "Asia/Shanghai", ("*",))
    assert load_options(made.dump()) == made


@pytest.mark.parametrize(
    "values", [{"region": "XX"}, {"time_zone": "Mars"}, {"consent": {"platforms": ["*"], "at": NOW, "until": NOW}}]
)
def test_impossible_options(values: dict[str, object]):
    with pytest.raises(MappingInvalid):
        make_options({"mapping": {}, **values})
