"""Who acts: the authenticated subject of a request or job."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from .permissions import ALL_PERMISSIONS, Permission


class SubjectKind(StrEnum):
    """What kind of credential acts."""

    USER = "user"
    API_KEY = "api_key"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Subject:
    """An actor inside one tenant.

    Attributes:
        tenant_id: The tenant all its acts belong to.
        kind: What kind of credential this is.
        id: The user or key; None for the system.
        permissions: Bit mask of `Permission`.
        credential_id: The session or key that was shown; None for the system.
    """

    tenant_id: UUID
    kind: SubjectKind
    id: UUID | None
    permissions: int
    credential_id: UUID | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the permission is in the set."""
        return bool(self.permissions >> permission & 1)


def system_subject(tenant_id: UUID) -> Subject:
    """The product itself, acting for a tenant: jobs, consumers and the command line."""
    return Subject(tenant_id=tenant_id, kind=SubjectKind.SYSTEM, id=None, permissions=ALL_PERMISSIONS)
