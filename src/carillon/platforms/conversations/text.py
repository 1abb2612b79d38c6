"""Text that people write around conversations. Pure."""

import re
import unicodedata

from .errors import BadAct

LONGEST_LABEL = 50
MOST_LABELS = 30
LONGEST_NOTE = 10_000
LONGEST_DRAFT = 10_000
PREVIEW = 140
"""Characters of the last message that a list shows."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SPACES = re.compile(r"\s+")


def check_line(text: str, field: str, longest: int = 200) -> str:
    """One line of text, trimmed and in NFC.

    Raises:
        BadAct: It is empty, too long or holds control characters.
    """
    if _UNSAFE.search(text):
        raise BadAct("Control characters are not allowed.", place=f"field {field}")
    clean = unicodedata.normalize("NFC", text).strip()
    if not 0 < len(clean) <= longest:
        raise BadAct(f"Give 1 to {longest} characters.", place=f"field {field}")
    return clean


def check_body(text: str, field: str, longest: int) -> str:
    """Text of several lines.

    Raises:
        BadAct: It is blank, too long or cannot be stored.
    """
    if _UNSTORABLE.search(text) or not text.strip() or len(text) > longest:
        raise BadAct(f"Give 1 to {longest} characters.", place=f"field {field}")
    return text


def preview_of(text: str) -> str:
    """The beginning of a message on one line."""
    line = _SPACES.sub(" ", _UNSAFE.sub(" ", text[: PREVIEW * 2])).strip()
    return line if len(line) <= PREVIEW else f"{line[: PREVIEW - 1]}…"
