"""Cleans the text of cells: NFC, no control characters, no bidirectional overrides.

Overrides are removed because they let a name show as something other than it is (Unicode TR 36, section 3.1).
Zero-width joiners stay: Persian, Hindi and emoji need them.
"""

import re
import unicodedata
from itertools import chain

_REMOVED = (
    *chain(range(0x01, 0x09), (0x0B, 0x0C), range(0x0E, 0x20), range(0x7F, 0xA0)),
    *chain(range(0x202A, 0x202F), range(0x2066, 0x206A), (0xFEFF,)),
)
_TABLE = dict.fromkeys(_REMOVED)
_UNCLEAN = re.compile("[\\0\r" + "".join(map(chr, _REMOVED)) + "]")
_ASCII_CONTROLS = bytes([0, *(code for code in _REMOVED if chr(code).isascii())])
NUL = "\0"


def is_clean(text: str) -> bool:
    """Tell whether `clean` would leave the text as it is."""
    if text.isprintable():
        return text.isascii() or unicodedata.is_normalized("NFC", text)
    return _UNCLEAN.search(text) is None and unicodedata.is_normalized("NFC", text)


def is_clean_block(raw: bytes, text: str) -> bool:
    """Tell the same of many lines at once; CR LF line ends are clean, a lone CR is not."""
    if len(raw) == len(text) and raw.isascii():
        return len(raw.translate(None, _ASCII_CONTROLS)) == len(raw) and raw.count(b"\r") == raw.count(b"\r\n")
    bare = text.replace("\r\n", "\n")
    return _UNCLEAN.search(bare) is None and unicodedata.is_normalized("NFC", bare)


def clean(text: str) -> str:
    """Return the text in NFC without control characters and overrides; CR LF and CR become LF."""
    if is_clean(text):
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", lines.translate(_TABLE))


def clean_cells(cells: list[str]) -> list[str]:
    """Clean every cell of a row; an ordinary row passes with a single look."""
    return cells if is_clean("".join(cells)) else [clean(cell) for cell in cells]
