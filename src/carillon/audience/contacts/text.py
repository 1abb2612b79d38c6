"""Text that people wrote, made safe to store and show. Pure."""

import re
import unicodedata

# Control characters, and the marks that turn the direction of what follows: a name could pass for another.
# Zero-width joiners stay: emoji and several scripts need them.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SPACES = re.compile(r"\s+")


def clean(text: str) -> str:
    """One line in Unicode NFC without control or direction characters, outer spaces and runs of spaces."""
    # Most text needs nothing.
    if text.isascii() and text.isprintable():
        return text.strip() if "  " not in text else _SPACES.sub(" ", text.strip())
    safe = _UNSAFE.sub(" ", unicodedata.normalize("NFC", text))
    return _SPACES.sub(" ", safe).strip()


def is_safe(text: str) -> bool:
    """Whether the text has no control or direction characters."""
    return _UNSAFE.search(text) is None
