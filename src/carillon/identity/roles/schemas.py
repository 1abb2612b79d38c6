"""HTTP forms of roles."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from carillon.identity.forms import SHOWN

from .contracts import Role

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), SHOWN]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Permissions = Annotated[list[Annotated[str, Field(max_length=80)]], Field(max_length=500)]


class RoleOut(BaseModel):
    """A role."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    name: str
    description: str
    builtin: str | None = Field(description="Key of a role that the product defines; it cannot be changed")
    permissions: list[str] = Field(description="Such as `contacts:read`")
    members: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, role: Role) -> "RoleOut":
        """From the contract."""
        return cls(
            id=role.id,
            name=role.name,
            description=role.description,
            builtin=role.builtin,
            permissions=[permission.wire for permission in role.permissions],
            members=role.members,
            created_at=role.created_at,
            updated_at=role.updated_at,
        )


class RolesOut(BaseModel):
    """All roles, and all permissions there are."""

    model_config = ConfigDict(extra="forbid")

    items: list[RoleOut]
    permissions: list[str] = Field(description="Every permission of the product")


class RoleIn(BaseModel):
    """A new role."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    description: Description = ""
    permissions: Permissions


class RoleChange(BaseModel):
    """What to change of a role; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    description: Description | None = None
    permissions: Permissions | None = None
