"""What crosses the boundary of API keys."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is shown; its secret is not stored.

    Attributes:
        id: Stands in the key's text too, so a leaked key can be found and revoked.
        name: For people.
        mask: Its permissions when it was made; it acts with those of them that its maker still has.
        created_by: The user who made it, directly or through another key; None: the command line.
        created_at: When.
        expires_at: Until when it works; None: until revoked.
        last_used_at: To the minute.
        revoked_at: Since when it does not work.
    """

    id: UUID
    name: str
    mask: int
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its text, which is known only now.

    Attributes:
        key: What is stored.
        text: What the client shows; a secret.
    """

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"IssuedKey({self.key.id})"
