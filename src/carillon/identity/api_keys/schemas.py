"""HTTP forms of API keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from carillon.identity.forms import ShownName
from carillon.kernel.permissions import list_permissions

from .contracts import ApiKey, IssuedKey


class ApiKeyOut(BaseModel):
    """An API key, without its secret."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    name: str
    permissions: list[str]
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyOut":
        """From the contract."""
        return cls(
            id=key.id,
            name=key.name,
            permissions=[permission.wire for permission in list_permissions(key.mask)],
            created_by=key.created_by,
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
        )


class ApiKeyIssued(BaseModel):
    """A new API key; its text is shown only now."""

    model_config = ConfigDict(extra="forbid")

    api_key: ApiKeyOut
    key: str = Field(description="Send it as `Authorization: Bearer …`")

    @classmethod
    def issued(cls, issued: IssuedKey) -> "ApiKeyIssued":
        """From the contract."""
        return cls(api_key=ApiKeyOut.of(issued.key), key=issued.text)


class ApiKeyIn(BaseModel):
    """A new API key."""

    model_config = ConfigDict(extra="forbid")

    name: ShownName
    permissions: Annotated[
        list[Annotated[str, Field(max_length=80)]], Field(min_length=1, max_length=500, description="Among your own")
    ]
    expires_at: AwareDatetime | None = None


class ApiKeyChange(BaseModel):
    """What to change of an API key."""

    model_config = ConfigDict(extra="forbid")

    name: ShownName
