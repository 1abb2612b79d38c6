"""What makes an account valid. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from carillon.platforms.connectors.catalog import CONNECTORS, ConnectorInfo

from .errors import BadAccount, UnknownConnector

LONGEST_TEXT = 200
LONGEST_LABEL = 50
MOST_LABELS = 30
LONGEST_SECRET = 65_536

# Control characters, and the marks that turn the direction of what follows.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def check_text(text: str, field: str, longest: int = LONGEST_TEXT) -> str:
    """One line of text, trimmed and in NFC.

    Raises:
        BadAccount: It is empty, too long or holds control characters.
    """
    if _UNSAFE.search(text):
        raise BadAccount("Control characters are not allowed.", place=f"field {field}")
    clean = unicodedata.normalize("NFC", text).strip()
    if not 0 < len(clean) <= longest:
        raise BadAccount(f"Give 1 to {longest} characters.", place=f"field {field}")
    return clean


def check_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels without repetitions, in the given order.

    Raises:
        BadAccount: A label is not valid, or there are too many.
    """
    found = tuple(dict.fromkeys(check_text(label, "labels", LONGEST_LABEL) for label in labels))
    if len(found) > MOST_LABELS:
        raise BadAccount(f"An account has at most {MOST_LABELS} labels.", place="field labels")
    return found


def check_connector(name: str) -> ConnectorInfo:
    """The connector of this name.

    Raises:
        UnknownConnector: There is none.
    """
    info = CONNECTORS.get(name)
    if info is None:
        raise UnknownConnector(place="field connector", known=sorted(CONNECTORS))
    return info


def check_platform(info: ConnectorInfo, platform: str | None) -> str:
    """The network of an account, which the connector must reach.

    Raises:
        BadAccount: It does not, or the network must be given.
    """
    reached = [known.value for known in info.platforms]
    if platform is None and len(reached) == 1:
        return reached[0]
    if platform not in reached:
        raise BadAccount(f"This connector reaches {', '.join(reached)}.", place="field platform", known=reached)
    return str(platform)


def check_settings(info: ConnectorInfo, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as the connector wants them; only those that were given.

    Raises:
        BadAccount: With the place of the first fault; the value is not repeated.
    """
    try:
        return info.settings.model_validate(dict(settings)).model_dump(exclude_unset=True, mode="json")
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(["settings", *map(str, fault["loc"])])
        said = fault["msg"].removeprefix("Value error, ").removesuffix(".")
        raise BadAccount(f"{said}.", place=f"field {place}") from None


def check_secret(secret: bytes) -> bytes:
    """A secret of sensible size.

    Raises:
        BadAccount: It is empty or too long.
    """
    if not 0 < len(secret) <= LONGEST_SECRET:
        raise BadAccount(f"A secret has 1 to {LONGEST_SECRET} bytes.", place="field secret")
    return secret
