"""What makes a proxy valid. Pure."""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable

from .errors import BadProxy

LONGEST_TEXT = 200
LONGEST_LABEL = 50
MOST_LABELS = 30
# RFC 1929: one byte tells the length.
LONGEST_CREDENTIAL = 255

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})?(\.[a-z0-9_]([a-z0-9_-]{0,62})?)*\.?")
_LAST_PORT = 65_535


def check_text(text: str, field: str, longest: int = LONGEST_TEXT) -> str:
    """One line of text, trimmed and in NFC.

    Raises:
        BadProxy: It is empty, too long or holds control characters.
    """
    if _UNSAFE.search(text):
        raise BadProxy("Control characters are not allowed.", place=f"field {field}")
    clean = unicodedata.normalize("NFC", text).strip()
    if not 0 < len(clean) <= longest:
        raise BadProxy(f"Give 1 to {longest} characters.", place=f"field {field}")
    return clean


def check_labels(labels: Iterable[str]) -> list[str]:
    """Labels without repetitions, in the given order.

    Raises:
        BadProxy: A label is not valid, or there are too many.
    """
    found = list(dict.fromkeys(check_text(label, "labels", LONGEST_LABEL) for label in labels))
    if len(found) > MOST_LABELS:
        raise BadProxy(f"A proxy has at most {MOST_LABELS} labels.", place="field labels")
    return found


def check_host(host: str, field: str = "host") -> str:
    """A host name or IP address in its normal form.

    Raises:
        BadProxy: It is neither.
    """
    bare = host.strip().removeprefix("[").removesuffix("]").lower()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if not _HOST.fullmatch(bare):
        raise BadProxy("Give a host name or an IP address.", place=f"field {field}")
    return bare.rstrip(".")


def check_port(port: int, field: str = "port") -> int:
    """A TCP port.

    Raises:
        BadProxy: It is not from 1 to 65535.
    """
    if not 0 < port <= _LAST_PORT:
        raise BadProxy("A port is a number from 1 to 65535.", place=f"field {field}")
    return port


def check_probe(probe: str) -> str:
    """`host:port` in its normal form; IPv6 addresses in brackets.

    Raises:
        BadProxy: It is not.
    """
    host, colon, port = probe.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise BadProxy("Give host:port.", place="field probe")
    checked = check_host(host, "probe")
    number = check_port(int(port[:6]), "probe")
    return f"[{checked}]:{number}" if ":" in checked else f"{checked}:{number}"


def check_credential(value: str, field: str) -> str:
    """A user name or password that both protocols can carry.

    Raises:
        BadProxy: It is empty, too long, not printable ASCII (neither protocol says what else would mean), or a user
            name has a colon (RFC 7617).
    """
    if not (value.isascii() and value.isprintable() and 0 < len(value) <= LONGEST_CREDENTIAL):
        raise BadProxy(f"Give 1 to {LONGEST_CREDENTIAL} printable ASCII characters.", place=f"field {field}")
    if field == "username" and ":" in value:
        raise BadProxy("A user name has no colon.", place="field username")
    return value
