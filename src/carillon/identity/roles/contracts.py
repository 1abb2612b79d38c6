"""What crosses the boundary of roles."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from carillon.kernel.permissions import Permission, list_permissions


@dataclass(frozen=True, slots=True)
class Role:
    """A named permission set of a tenant.

    Attributes:
        id: Of this role.
        name: Unique in the tenant, whatever the case.
        description: For people.
        builtin: Its key in `BUILTIN_ROLES` if the product defines it; such a role cannot be changed.
        mask: Bit mask of `Permission`, as this version of the product understands it.
        members: How many people have it.
        created_at: When it was made.
        updated_at: When it was last changed.
    """

    id: UUID
    name: str
    description: str
    builtin: str | None
    mask: int
    members: int
    created_at: datetime
    updated_at: datetime

    @property
    def permissions(self) -> list[Permission]:
        """The permissions, in the order of their bits."""
        return list_permissions(self.mask)
