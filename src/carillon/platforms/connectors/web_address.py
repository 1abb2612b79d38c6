"""Reads a tenant's URL, strictly: what two programs could understand in two ways is refused.

The parts read here are the parts that are used: the host is resolved, judged, named in TLS and in `Host`, and nothing
parses the text again.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote

import idna

Address = IPv4Address | IPv6Address

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LAST_PORT = 65_535
_LONGEST_HOST = 253
# RFC 3986, appendix B, without what has no place in a web address: white space, controls and backslashes.
_URL = re.compile(
    r"([a-zA-Z]+)://([^/?#\\\s\x00-\x20\x7f]+)((?:[/?][^#\\\s\x00-\x20\x7f]*)?)(?:#[^\\\s\x00-\x20\x7f]*)?"
)
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:%]+)(?::([0-9]{0,5}))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# A last label like this makes a host a number to browsers and resolvers (WHATWG URL, "ends in a number").
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_KEPT = "/?:@!$&'()*+,;=-._~%"


class Malformed(ValueError):
    """Not an acceptable web address; the message says why and never repeats the text, which may hold a secret."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A URL in parts.

    Attributes:
        scheme: `https` or `http`.
        host: In small letters, international names in punycode, an IPv6 address in brackets.
        port: Also where the URL left it out.
        target: Path and query, as the request line has them.
        literal: The host as an address, where it is one.
    """

    scheme: str
    host: str
    port: int
    target: str
    literal: Address | None

    @property
    def authority(self) -> str:
        """As the `Host` header has it (RFC 9110, 7.2)."""
        return self.host if self.port == _DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"


def read(text: str) -> WebAddress:
    """The URL in parts.

    Raises:
        Malformed: It is none, or could be read in more than one way.
    """
    scheme, authority, target = _split(text)
    if "@" in authority:
        raise Malformed("The address must not contain a user name or password.")
    matched = _AUTHORITY.fullmatch(authority)
    if matched is None:
        raise Malformed("The address has no proper host name.")
    port = int(matched[2]) if matched[2] else _DEFAULT_PORTS[scheme]
    if not 0 < port <= _LAST_PORT:
        raise Malformed("The address has no proper port.")
    host, literal = _host(matched[1])
    return WebAddress(scheme, host, port, _target(target), literal)


def check(text: str) -> str:
    """The text, if it is an acceptable web address.

    Raises:
        Malformed: It is none; a URL with a password in it is not even stored.
    """
    read(text)
    return text


def _split(text: str) -> tuple[str, str, str]:
    matched = _URL.fullmatch(text)
    if matched is None:
        raise Malformed("This is not a web address.")
    scheme = matched[1].lower()
    if scheme not in _DEFAULT_PORTS:
        raise Malformed("The address must begin with https://.")
    return scheme, matched[2], matched[3]


def _host(text: str) -> tuple[str, Address | None]:
    """The host as it is used; a number that is no plain dotted address (0x7f.1, 2130706433, 017.0.0.1) is refused."""
    try:
        if text.startswith("["):
            address = IPv6Address(text[1:-1])
            return f"[{address}]", address
        name = text.lower() if text.isascii() else _in_punycode(text)
        if _NUMBER.fullmatch(name):
            return name, IPv4Address(name)
    except ValueError:
        raise Malformed("The address has no proper host name.") from None
    if len(name) > _LONGEST_HOST or not _NAME.fullmatch(name):
        raise Malformed("The address has no proper host name.")
    return name, None


def _in_punycode(name: str) -> str:
    """As browsers do (UTS 46), so that full-width digits and dots become what they look like."""
    return idna.encode(name, uts46=True, std3_rules=True).decode("ascii").lower()


def _target(text: str) -> str:
    try:
        quoted = quote(text, safe=_KEPT)
    except UnicodeError:  # half a surrogate pair
        raise Malformed("This is not a web address.") from None
    return quoted if quoted.startswith("/") else f"/{quoted}"


def as_address(text: str) -> Address | None:
    """The text as an address, if it is one."""
    try:
        return ip_address(text)
    except ValueError:
        return None
