"""Takes vCard content lines apart: names, parameters and values (RFC 6350 section 3; quoted-printable of 2.1)."""

import quopri
import re
from dataclasses import dataclass

_UNSPLIT = re.compile(rb'((?:[^":]|"[^"]*")*):(.*)', re.DOTALL)
_PARAMETERS = re.compile(r'((?:[^";]|"[^"]*")+)')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_BARE_KINDS = {"QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT"}


@dataclass(frozen=True, slots=True)
class Property:
    """One property: upper-case name without its group, parameters with upper-case names, raw value."""

    name: str
    parameters: dict[str, list[str]]
    value: str

    def is_type(self, word: str) -> bool:
        """Tell whether TYPE lists the word, e.g. `CELL`."""
        return word in {item.upper() for item in self.parameters.get("TYPE", [])}

    def preference(self) -> int:
        """Return 1 for the most preferred, 100 where nothing is said."""
        listed = self.parameters.get("PREF", [])
        if listed and listed[0].isdecimal():
            return int(listed[0][:3])
        return 1 if self.is_type("PREF") or "PREF" in self.parameters else 100


def parse_line(line: bytes, encoding: str) -> Property | None:
    """Parse one unfolded line; None if it has no colon.

    Raises:
        UnicodeDecodeError: The value is not in the stated or the file's encoding.
        LookupError: The stated character set does not exist.
    """
    head, colon, value = line.partition(b":")
    if b'"' in head:
        match = _UNSPLIT.fullmatch(line)
        head, colon, value = (match[1], b":", match[2]) if match else (line, b"", b"")
    if not colon:
        return None
    name, parameters = _head(head.decode(encoding))
    if "QUOTED-PRINTABLE" in _upper(parameters, "ENCODING"):
        value = quopri.decodestring(value)
    charset = parameters.get("CHARSET", [""])[0]
    return Property(name, parameters, value.decode(charset) if charset else _decode(value, encoding))


def _decode(value: bytes, encoding: str) -> str:
    """UTF-8 is the rule since version 4; the file's guessed encoding is for older telephones."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode(encoding)


def is_quoted_printable(line: bytes) -> bool:
    """Tell whether the line's value is quoted-printable, so that a final `=` continues it."""
    return b"QUOTED-PRINTABLE" in line.split(b":", 1)[0].upper()


def _upper(parameters: dict[str, list[str]], name: str) -> set[str]:
    return {value.upper() for value in parameters.get(name, [])}


def _head(text: str) -> tuple[str, dict[str, list[str]]]:
    first, *rest = (_PARAMETERS.findall(text) if '"' in text else text.split(";")) or [""]
    parameters: dict[str, list[str]] = {}
    for item in rest:
        key, equals, value = item.partition("=")
        if not equals:
            key, value = ("ENCODING" if key.upper() in _BARE_KINDS else "TYPE"), key
        values = [part.strip('" ') for part in value.strip('"').split(",")]
        parameters.setdefault(key.strip().upper(), []).extend(values)
    return first.rpartition(".")[2].strip().upper(), parameters


def unescape(value: str) -> str:
    r"""Undo `\n`, `\,`, `\;` and `\\` (RFC 6350 section 3.4)."""
    return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], value).strip()


def split(value: str, separator: str) -> list[str]:
    """Split at separators that are not escaped, and unescape the parts."""
    parts = re.split(rf"(?<!\\){separator}", value.replace("\\\\", "\0"))
    return [unescape(part.replace("\0", "\\\\")) for part in parts]
