"""What columns mean in a dozen languages, and dates and consents as people write them."""

from contextlib import suppress
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audience.contacts.column_values import WORDS
from carillon.audience.contacts.columns import (
    BadInstant,
    DateOrder,
    Target,
    UnclearConsent,
    decide_order,
    parse_bool_consent,
    parse_instant,
    suggest_mapping,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")


def targets(*columns: str, rows: list[list[str]] | None = None) -> list[str | None]:
    mapping = suggest_mapping(columns, rows or [])
    return [mapping.targets.get(index) for index in range(len(columns))]


GUESSES = """
Phone|Full Name|E-mail|Tags => phone|name|email|tags
MOBILE_NUMBER|First  name|last-name|Time Zone => phone|first_name|last_name|time_zone
手机号|姓名|同意时间|同意 => phone|name|consent_at|consent
電話號碼|來源|到期日 => phone|consent_source|consent_expires_at
Teléfono|Nombre|Apellidos|Correo electrónico|País => phone|first_name|last_name|email|country
Телефон|ФИО|Язык|Часовой пояс|Согласие => phone|name|language|time_zone|consent
Celular|Nome completo|Fuso horário|Data do consentimento => phone|name|time_zone|consent_at
No. HP|Nama|Bahasa|Persetujuan|Sumber => phone|name|language|consent|consent_source
Telegram ID|Telegram|WhatsApp ID|WhatsApp => telegram_id|telegram_username|whatsapp_id|phone
Given Name|Family Name|Phone 1 - Value => first_name|last_name|phone
Phone 1 - Value|Phone 2 - Value|E-mail 1 - Value => phone|field:phone_2_value|email
Phone|Phone (2)|Shoe size|Shoe Size => phone|field:phone_2|field:shoe_size|field:shoe_size_2
城市|VIP? => field:城市|field:vip
"""


@pytest.mark.parametrize("guess", GUESSES.strip().splitlines())
def test_by_name(guess):
    columns, _, expected = guess.partition(" => ")
    assert targets(*columns.split("|")) == expected.split("|")


def test_no_name_means_two_things():
    listed = [(target, name) for target, names in WORDS["names"].items() for name in names]
    assert len({name for _, name in listed}) == len(listed)
    for target, name in listed:
        assert targets(name, "surname" if target == "first_name" else "x")[0] == target, name


def test_a_lone_first_name_may_be_the_whole():
    assert targets("Имя", "Телефон") == ["name", "phone"]
    assert targets("Имя", "Фамилия") == ["first_name", "last_name"]
    assert targets("First name") == ["first_name"]


def test_by_value_where_names_say_nothing():
    rows = [["a@example.com", "+8613800138000", "2026-01-02", ""], ["b@example.com", "13900139000", "2026-01-03", ""]]
    assert targets("column 1", "x", "y", "column 4", rows=rows) == ["email", "phone", "field:y", None]


def test_order_is_decided_by_the_whole_column():
    rows = [["03/11/2026", "3/4/2026", "2026-01-02"], ["25/11/2026", "5/6/2026", ""]]
    mapping = suggest_mapping(["Consent date", "Seen", "Expires at"], rows, order=DateOrder.MONTH_FIRST)
    assert mapping.date_orders == {0: DateOrder.DAY_FIRST, 1: DateOrder.MONTH_FIRST, 2: DateOrder.MONTH_FIRST}
    assert mapping.assumed_orders == {1}
    assert mapping.column_of(Target.CONSENT_AT) == 0
    assert mapping.column_of(Target.PHONE) is None
    assert decide_order(["11/25/2026"]) is DateOrder.MONTH_FIRST
    assert decide_order(["11/25/2026", "25/11/2026"]) is None


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("2026-11-03", "2026-11-03T00:00"),
        ("2026-11-03 09:30", "2026-11-03T09:30"),
        ("2026-11-03T09:30:15", "2026-11-03T09:30:15"),
        ("2026-11-03T01:30:00Z", "2026-11-03T09:30"),
        ("2026-11-03T01:30:00+00:00", "2026-11-03T09:30"),
        ("20261103", "2026-11-03T00:00"),
        ("2026/11/3", "2026-11-03T00:00"),
        ("2026.11.03 9:05", "2026-11-03T09:05"),
        ("2026年11月3日", "2026-11-03T00:00"),
        ("２０２６年１１月３日 下午3:20", "2026-11-03T15:20"),
        ("2026年11月3日 15时20分05秒", "2026-11-03T15:20:05"),
        ("2026년 11월 3일 오후 3:20", "2026-11-03T15:20"),
        ("03/11/2026", "2026-11-03T00:00"),
        ("3.11.26", "2026-11-03T00:00"),
        ("11/25/2026", "2026-11-25T00:00"),
        ("03.11.2026 9:30:15", "2026-11-03T09:30:15"),
        ("3/11/2026 9:30 PM", "2026-11-03T21:30"),
        ("3/11/2026 12:05 a.m.", "2026-11-03T00:05"),
        ("3/11/2026 12:05 pm", "2026-11-03T12:05"),
        ("3 Nov 2026", "2026-11-03T00:00"),
        ("Nov 3, 2026", "2026-11-03T00:00"),
        ("November 3rd, 2026 9:30 am", "2026-11-03T09:30"),
        ("Tue, 3 Nov 2026 09:30", "2026-11-03T09:30"),
        ("3 de noviembre de 2026", "2026-11-03T00:00"),
        ("3 ноября 2026 г.", "2026-11-03T00:00"),
        ("3. Oktober 2026", "2026-10-03T00:00"),
        ("3 de março de 2026", "2026-03-03T00:00"),
        ("3 Agustus 2026", "2026-08-03T00:00"),
        ("3 mai 2026", "2026-05-03T00:00"),
        ("46329", "2026-11-03T00:00"),
        ("46329.395833333336", "2026-11-03T09:30"),
        ("1793669400", "2026-11-03T09:30"),
        ("1793669400000", "2026-11-03T09:30"),
    ],
)
def test_dates(text, local):
    assert parse_instant(text, SHANGHAI) == datetime.fromisoformat(local).replace(tzinfo=SHANGHAI)
    assert parse_instant(text, SHANGHAI).tzinfo is UTC


def test_ambiguous_dates_follow_the_order():
    assert parse_instant("3/11/2026", UTC, DateOrder.MONTH_FIRST).month == 3
    assert parse_instant("3/11/2026", UTC, DateOrder.DAY_FIRST).month == 11
    assert parse_instant("25/11/2026", UTC, DateOrder.MONTH_FIRST).month == 11


@pytest.mark.parametrize(
    "text",
    ["", "soon", "31/02/2026", "2026-13-01", "13/13/2026", "12", "99999999999999999999", "3 Foo 2026",
     "2026-11-03 25:00", "0001-01-01", "3/11/2026 9:30 xx"],
)  # fmt: skip
def test_no_dates(text):
    with pytest.raises(BadInstant):
        parse_instant(text, SHANGHAI)


@given(st.text(max_size=30) | st.from_regex(r"[0-9./年月日: -]{4,20}", fullmatch=True))
def test_any_text_is_a_date_or_a_named_fault(text):
    with suppress(BadInstant):
        assert parse_instant(text, SHANGHAI).tzinfo is UTC


@given(
    st.dates(date(1970, 1, 2), date(2068, 12, 31)),
    st.sampled_from(["%d/%m/%Y", "%d.%m.%y", "%Y年%m月%d日", "%d %b %Y", "%B %d, %Y", "%Y%m%d"]),
)
def test_dates_read_back(day, form):
    assert parse_instant(day.strftime(form), UTC).date() == day


@pytest.mark.parametrize(
    "text",
    ["yes", "Y", "TRUE", "1", "是", "已同意", "да", "Sí", "sim", "ya", "opt-in", "Opted In", "x", "✓", "ja", "oui"],
)
def test_yes(text):
    assert parse_bool_consent(f" {text} ") is True


@pytest.mark.parametrize(
    "text",
    ["no", "N", "false", "0", "否", "不同意", "нет", "não", "tidak", "opt-out", "OPT OUT", "unsubscribed", "nein", "-"],
)
def test_no(text):
    assert parse_bool_consent(text) is False


@pytest.mark.parametrize("text", ["", " ", "maybe", "2026-01-01", "yes and no", "?"])
def test_neither(text):
    with pytest.raises(UnclearConsent):
        parse_bool_consent(text)
