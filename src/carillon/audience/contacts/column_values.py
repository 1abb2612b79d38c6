"""Reads dates and yes/no as people of many countries write them in a table."""

import json
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any

from carillon.kernel.errors import Invalid


class BadInstant(Invalid):
    """This is not a date we can read; 2026-11-03 or 2026-11-03 09:30 is safest."""

    code = "bad_date"


class UnclearConsent(Invalid):
    """This says neither yes nor no."""

    code = "unclear_consent"


class DateOrder(StrEnum):
    """How to read 03/11/2026, where the text alone does not tell."""

    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"


WORDS: dict[str, Any] = json.loads(Path(__file__).with_name("column_words.json").read_text(encoding="utf-8"))
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - a wall clock, placed into a zone below
_SERIALS = range(20_000, 80_000)
_PIVOT = 69
_NOON = 12
_MONTHS_A_YEAR = 12
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_EPOCH_DIGITS = {10: 1, 13: 1000}
_TIME = (
    r"(?:[\s,T]*(?P<pre>[^\W\d_]{1,4}\.?[^\W\d_]?\.?)?\s*(?P<hour>\d{1,2})(?:[:：时時点點시]\s*)(?P<minute>\d{1,2})?"
    r"(?:[:：分분]\s*(?P<second>\d{1,2})?(?:[.,]\d+)?)?[秒초]?\s*(?P<post>[^\W\d_]\.?[^\W\d_]?\.?)?)?"
)
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})\s*[-/.年년]\s*(?P<month>\d{1,2})\s*[-/.月월]\s*(?P<day>\d{1,2})\s*[日号號일]?(?:\s*\(?[^\W\d_]{0,3}\)?)??"
    + _TIME
)
_YEAR_LAST = re.compile(r"(?P<first>\d{1,2})\s*[-/.]\s*(?P<other>\d{1,2})\s*[-/.]\s*(?P<year>\d{4}|\d{2})\b\.?" + _TIME)
_NAMED_DAY_FIRST = re.compile(
    r"(?:[^\W\d_]+\.?,?\s+)?(?P<day>\d{1,2})(?:st|nd|rd|th|er|º|ª)?[.\s-]+(?:de\s+)?(?P<name>[^\W\d_]{3,})\.?,?[\s-]+(?:de\s+|del\s+)?"
    r"(?P<year>\d{4})(?:\s*(?:г|р|year)\b\.?)?" + _TIME
)
_NAMED_MONTH_FIRST = re.compile(
    r"(?:[^\W\d_]+\.?,\s+)?(?P<name>[^\W\d_]{3,})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})" + _TIME
)
_MONTHS = {
    prefix: month
    for month, prefixes in enumerate(
        (
            "jan ene янв січ oca gen sty",
            "feb fev лют фев şub sub lut",
            "mar mär мар бер maa",
            "apr abr avr апр кві nis kwi",
            "may mai maj mag мая май тра mei",
            "jun giu июн чер haz cze juin",
            "jul июл лип tem lug juil",
            "aug ago aoû aou авг сер ağu agu agt sie",
            "sep set сен вер eyl wrz",
            "oct oct okt out ott окт жов eki paź paz",
            "nov ноя лис kas lis",
            "dec dic dez des дек гру ara gru déc",
        ),
        1,
    )
    for prefix in prefixes.split()
}
_AFTERNOON = ("pm", "p.m", "下午", "晚上", "中午", "오후", "午後")
_MORNING = ("am", "a.m", "上午", "早上", "凌晨", "오전", "午前")
_YES = frozenset(WORDS["yes"])
_NO = frozenset(WORDS["no"])


def decide_order(samples: Iterable[str]) -> DateOrder | None:
    """Return the order a whole column is written in, None if every date in it can be read both ways.

    A column that shows both orders is no column of one order: None as well.
    """
    seen = set()
    for text in samples:
        match = _YEAR_LAST.match(unicodedata.normalize("NFKC", text).strip())
        if match is not None:
            first, other = int(match["first"]), int(match["other"])
            if first > _MONTHS_A_YEAR >= other:
                seen.add(DateOrder.DAY_FIRST)
            elif other > _MONTHS_A_YEAR >= first:
                seen.add(DateOrder.MONTH_FIRST)
    return seen.pop() if len(seen) == 1 else None


def parse_instant(text: str, zone: tzinfo, order: DateOrder = DateOrder.DAY_FIRST) -> datetime:
    """Read a date or a date with time.

    Understood: ISO 8601; `2026年11月3日 下午3:20`; 3/11/2026, 3.11.26 and 11-3-2026 by `order`; 3 Nov 2026, Nov 3, 2026
    and the months of a dozen languages; serial numbers of spreadsheets; Unix time in seconds or milliseconds.

    Args:
        text: What stands in the cell.
        zone: Where the writer's clock hangs, for texts without a zone of their own; a date alone is midnight there.
        order: How to read an ambiguous date; a day above 12 overrules it.

    Returns:
        The instant in UTC.

    Raises:
        BadInstant: It is none of these, or no such day exists.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    try:
        moment = _number(plain) or _iso(plain) or _written(plain, order)
        if moment is not None:
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInstant from error
    raise BadInstant


def looks_like_instant(text: str) -> bool:
    """Tell whether the text is written as a date, numbers left aside: they may be anything."""
    if _NUMBER.fullmatch(text.strip()):
        return False
    try:
        parse_instant(text, UTC)
    except BadInstant:
        return False
    return True


def parse_bool_consent(text: str) -> bool:
    """Read yes or no in many languages.

    Raises:
        UnclearConsent: It is empty or says neither; the safe reading is no consent.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().strip(" .!'\"")
    word = "".join(letter for letter in plain if letter not in " -_\t") or plain[:1]
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise UnclearConsent


def _number(text: str) -> datetime | None:
    if not (text.isascii() and _NUMBER.fullmatch(text)):
        return None
    if text.isdigit() and len(text) in _EPOCH_DIGITS:
        return datetime.fromtimestamp(int(text) / _EPOCH_DIGITS[len(text)], UTC)
    serial = float(text)
    if int(serial) in _SERIALS:
        return _EXCEL_EPOCH + timedelta(seconds=round(serial * 86_400))
    return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _written(text: str, order: DateOrder) -> datetime | None:
    lowered = text.casefold()
    if match := _YEAR_FIRST.fullmatch(lowered):
        return _moment(match, int(match["year"]), int(match["month"]), int(match["day"]))
    if match := _YEAR_LAST.fullmatch(lowered):
        first, other = int(match["first"]), int(match["other"])
        is_day_first = first > _MONTHS_A_YEAR or (order is DateOrder.DAY_FIRST and other <= _MONTHS_A_YEAR)
        day, month = (first, other) if is_day_first else (other, first)
        return _moment(match, _full_year(match["year"]), month, day)
    match = _NAMED_DAY_FIRST.fullmatch(lowered) or _NAMED_MONTH_FIRST.fullmatch(lowered)
    if match is not None and (named := _month(match["name"])):
        return _moment(match, int(match["year"]), named, int(match["day"]))
    return None


def _full_year(text: str) -> int:
    year = int(text)
    if len(text) > 2:  # noqa: PLR2004 - two digits
        return year
    return year + (2000 if year < _PIVOT else 1900)


def _month(name: str) -> int | None:
    return _MONTHS.get(name[:4]) or _MONTHS.get(name[:3])


def _moment(match: re.Match[str], year: int, month: int, day: int) -> datetime:
    hour = int(match["hour"] or 0)
    half = (match["pre"] or match["post"] or "").rstrip(".")
    if half in _AFTERNOON and hour < _NOON:
        hour += _NOON
    elif half in _MORNING and hour == _NOON:
        hour = 0
    elif half and half not in _AFTERNOON + _MORNING:
        raise BadInstant
    minute, second = int(match["minute"] or 0), int(match["second"] or 0)
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the caller places it into its zone
