"""Finds the encoding of a text file by its byte order mark or by its bytes, looking at the whole file once.

The order of trust: byte order mark, the zero bytes of UTF-16, UTF-8 (chance text of another encoding almost
never is valid UTF-8, RFC 3629 section 1), GB 18030 if its pairs are everyday Chinese, then charset-normalizer.
"""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from charset_normalizer import from_bytes

from .errors import UnknownFormat
from .lines import BLOCK

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GUESSED = [
    *("cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("big5", "cp932", "cp949", "cp874", "koi8_r", "euc_jp"),
]
_FALLBACK = "cp1252"
_NEIGHBOURS = {"cp1250", "cp1254", "cp1257", "cp1258"}
_WESTERN = frozenset("áéíóúñüöäßçãõâêôàëîÁÉÍÓÚÑÜÖÄÇåæøÅÆØ¿¡ºª«»")
_SAMPLE = 16 * 1024
_ENOUGH_PAIRS = 30
_HIGH_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_EVERYDAY_PAIR = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]")
_KOREAN_PAIR = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH_RUN = re.compile(rb"[\x80-\xff]")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, slots=True)
class TextProfile:
    """What one pass over a text file tells.

    Attributes:
        encoding: Python's name, without a byte order mark.
        start: Bytes of the byte order mark.
        lines: How many line ends there are.
        old_mac: Lines end in CR alone.
        size: Bytes of the file.
    """

    encoding: str
    start: int
    lines: int
    old_mac: bool
    size: int


@dataclass(slots=True)
class _Survey:
    """Counts over the whole file, and the lines with bytes above 127 that decide the encoding."""

    line_feeds: int = 0
    returns: int = 0
    size: int = 0
    sample: bytes = b""


def profile_text(path: Path, encoding: str | None = None) -> TextProfile:
    """Read the file once and tell its encoding; a given `encoding` wins unless there is a byte order mark.

    Raises:
        UnknownFormat: The bytes are no text, or the given encoding does not exist.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    known, start = _by_mark(head)
    known = known or (_checked(encoding) if encoding else _by_zeros(head))
    if known is None and _is_binary(head):
        raise UnknownFormat(place="byte 0")
    survey = _survey(path, "\n".encode(known or "utf-8"), look=known is None)
    known = known or _by_bytes(survey)
    old_mac = survey.line_feeds == 0 and survey.returns > 0 and not known.startswith(("utf-16", "utf-32"))
    return TextProfile(known, start, survey.returns if old_mac else survey.line_feeds, old_mac, survey.size)


def _checked(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        "\n".encode(name)
    except (LookupError, TypeError) as error:
        raise UnknownFormat(f"There is no text encoding named {encoding!r}.") from error
    return {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8", "gbk": "gb18030"}.get(name, name)


def _by_mark(head: bytes) -> tuple[str | None, int]:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return None, 0


def _by_zeros(head: bytes) -> str | None:
    """UTF-16 without a mark shows in zero bytes that stand at odd (LE) or at even (BE) places only."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if even + odd == 0 or (even + odd) * 100 < len(head) or min(even, odd) * 20 > max(even, odd):
        return None
    name, end = ("utf-16-le", b"\n\0") if odd > even else ("utf-16-be", b"\0\n")
    text = head[: len(head) // 2 * 2].decode(name, errors="replace")
    bad = text.count("\ufffd")
    return name if bad * 20 <= len(text) and (end in head or len(head) < _SAMPLE) else None


def _is_binary(head: bytes) -> bool:
    return len(_CONTROL.findall(head)) * 10 > len(head)


def _survey(path: Path, end: bytes, *, look: bool) -> _Survey:
    survey = _Survey()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            survey.size += len(block)
            survey.line_feeds += block.count(end)
            survey.returns += block.count(b"\r")
            if look and not block.isascii():
                _look(survey, block)
    return survey


def _look(survey: _Survey, block: bytes) -> None:
    if len(survey.sample) < 4 * _SAMPLE:
        whole = block.splitlines(keepends=True)[survey.size > len(block) :]
        lines = [line for line in whole if not line.isascii()]
        survey.sample += b"".join(lines)[:_SAMPLE]


def _by_bytes(survey: _Survey) -> str:
    sample = survey.sample
    if not sample or _is_mostly_utf8(sample):
        return "utf-8"
    if _is_everyday_chinese(sample):
        return "gb18030"
    best = from_bytes(sample[:_SAMPLE], cp_isolation=_GUESSED, steps=5, chunk_size=1024).best()
    if best is None or (best.encoding in _NEIGHBOURS and _is_western(sample)):
        return _FALLBACK
    return best.encoding


def _is_western(sample: bytes) -> bool:
    """Western European text keeps to a few letters that its neighbours' code pages mostly share."""
    high = [letter for letter in sample.decode(_FALLBACK, errors="replace") if not letter.isascii()]
    return sum(letter in _WESTERN for letter in high) * 100 >= len(high) * 85


def _is_mostly_utf8(sample: bytes) -> bool:
    """A few damaged bytes do not make a file something else: they become faults of their rows."""
    good = len(_UTF8_CHARACTER.findall(sample))
    bad = len(_HIGH_RUN.findall(_UTF8_CHARACTER.sub(b"", sample)))
    return good >= 4 * bad


def _is_everyday_chinese(sample: bytes) -> bool:
    """Chinese text uses mostly level 1 of GB 2312 (leads B0-D7); Korean text would keep below C8."""
    pairs = _HIGH_PAIR.findall(sample)
    everyday = sum(_EVERYDAY_PAIR.fullmatch(pair) is not None for pair in pairs)
    korean = sum(_KOREAN_PAIR.fullmatch(pair) is not None for pair in pairs)
    broken = sample.decode("gb18030", errors="replace").count("\ufffd")
    plausible = everyday * 10 >= len(pairs) * 7 and broken * 20 <= len(pairs)
    looks_korean = len(pairs) >= _ENOUGH_PAIRS and korean * 100 > len(pairs) * 97
    return bool(pairs) and plausible and not looks_korean
