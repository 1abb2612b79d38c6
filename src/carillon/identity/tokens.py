"""The form of every credential we hand out: `<kind>_<tenant hex>_<row hex>_<secret>`.

The tenant stands inside, so a credential is always looked up under that tenant's row-level security; only a keyed
hash of the whole text is stored. The prefix lets secret scanners and log redaction recognise a leaked one.
"""

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from carillon.kernel.ids import uuid7
from carillon.storage.vault import Vault

_SECRET_BYTES = 32
_FORM = re.compile(r"(c[ski])_([0-9a-f]{32})_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


class TokenKind(StrEnum):
    """What the credential is."""

    SESSION = "cs"
    API_KEY = "ck"
    INVITATION = "ci"


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed credential; whether it is a good one only the stored hash tells.

    Attributes:
        kind: What it is.
        tenant_id: Where to look it up.
        id: Its row there.
        text: All of it; a secret.
    """

    kind: TokenKind
    tenant_id: UUID
    id: UUID
    text: str

    def __repr__(self) -> str:
        return f"Token({self.kind.value}, {self.tenant_id}, {self.id})"

    def digest(self, vault: Vault) -> bytes:
        """What is stored of it: 32 bytes, another for each kind."""
        return vault.keyed_hash(f"identity token {self.kind.value}", self.text.encode())


def new_token(kind: TokenKind, tenant_id: UUID) -> Token:
    """A fresh credential with 256 random bits."""
    row_id = uuid7()
    text = f"{kind.value}_{tenant_id.hex}_{row_id.hex}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return Token(kind, tenant_id, row_id, text)


def parse_token(text: str, *kinds: TokenKind) -> Token | None:
    """The credential, or None if it is not one of these kinds or not well-formed."""
    match = _FORM.fullmatch(text)
    if match is None or match[1] not in kinds:
        return None
    return Token(TokenKind(match[1]), UUID(hex=match[2]), UUID(hex=match[3]), text)
