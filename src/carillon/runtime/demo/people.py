"""A contact file as it comes from a real company: GBK, a Chinese header, duplicates, and all that goes wrong."""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROWS = 10_000
_AGAIN, _BAD, _TELEGRAM, _ZONE_KNOWN = 0.03, 0.02, 0.5, 0.9
_REMEMBERED = 500
HEADER = ("姓名", "手机", "Telegram", "语言", "时区", "标签", "城市", "同意", "同意时间", "同意来源", "同意到期")
CITIES = (
    ("Asia/Shanghai", "+86138", 8, "zh-CN", "上海"),
    ("Asia/Hong_Kong", "+8529", 7, "zh-HK", "香港"),
    ("Asia/Tokyo", "+8190", 8, "ja", "東京"),
    ("Asia/Singapore", "+658", 7, "en", "Singapore"),
    ("Asia/Jakarta", "+62812", 8, "id", "Jakarta"),
    ("Asia/Kolkata", "+9198", 8, "en", "Mumbai"),
    ("Asia/Ho_Chi_Minh", "+8490", 7, "vi", "Ho Chi Minh"),
    ("Asia/Bangkok", "+6681", 7, "th", "Bangkok"),
    ("Europe/Moscow", "+7916", 7, "ru", "Москва"),
    ("Europe/Istanbul", "+90532", 7, "tr", "Istanbul"),
    ("Europe/Berlin", "+49151", 8, "de", "Berlin"),
    ("Europe/Madrid", "+346", 8, "es", "Madrid"),
    ("America/Sao_Paulo", "+55119", 8, "pt-BR", "Sao Paulo"),
    ("America/New_York", "+1212555", 4, "en", "New York"),
    ("America/Mexico_City", "+5255", 8, "es", "Mexico"),
)
SURNAMES = ("王", "李", "张", "刘", "陈", "杨", "Smith", "Garcia", "Müller", "Иванов", "Silva", "佐藤")
GIVEN = ("伟", "芳", "娜", "敏", "静", "Anna", "Maria", "Олег", "João", "Kim", "Ada")


@dataclass(frozen=True, slots=True)
class PeopleFile:
    """What was written.

    Attributes:
        opted_out: Phone numbers of people in the file who had opted out before.
    """

    path: Path
    rows: int
    opted_out: tuple[str, ...]


def write_people(path: Path, *, rows: int = ROWS, seed: int = 7) -> PeopleFile:
    """Write the file; the same seed writes the same."""
    draw = random.Random(seed)  # noqa: S311 - a reproducible file, no secret
    opted_out: list[str] = []
    with path.open("w", encoding="gbk", errors="replace", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(HEADER)
        for number, row in enumerate(_rows(draw, rows)):
            writer.writerow(row)
            if row[1].startswith("+") and number % 50 == 0:
                opted_out.append(row[1])
    return PeopleFile(path, rows, tuple(opted_out))


def _rows(draw: random.Random, rows: int) -> Iterator[list[str]]:
    earlier: list[list[str]] = []
    for number in range(rows):
        if earlier and draw.random() < _AGAIN:
            yield draw.choice(earlier)
            continue
        row = _person(draw, number)
        if draw.random() < _BAD:
            row[1], row[2] = draw.choice(["12", "abc", "+999123", "8.61E+12", "电话"]), ""
        elif len(earlier) < _REMEMBERED:
            earlier.append(row)
        yield row


def _person(draw: random.Random, number: int) -> list[str]:
    zone, prefix, digits, language, city = draw.choice(CITIES)
    phone = f"{prefix}{number:0{digits}d}"[: len(prefix) + digits]
    on_telegram = draw.random() < _TELEGRAM
    consent = draw.choices(["是", "yes", "否", "", "expired"], [70, 20, 3, 5, 2])[0]
    given_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=draw.randrange(5_000))
    granted = consent in ("是", "yes", "expired")
    return [
        f"{draw.choice(SURNAMES)} {draw.choice(GIVEN)}",
        "" if on_telegram else phone,
        f"@person_{number:05d}" if on_telegram else "",
        language,
        zone if draw.random() < _ZONE_KNOWN else "",
        draw.choice(["vip", "new", "vip,newsletter", ""]),
        city,
        "是" if consent == "expired" else consent,
        given_at.strftime("%Y-%m-%d %H:%M") if granted else "",
        "网站表单 /join v3" if granted else "",
        "2026-02-01" if consent == "expired" else "",
    ]
