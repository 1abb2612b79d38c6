"""Published events of identity: tenants, people and their credentials."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from .base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCreated(Event):
    """A tenant was made."""

    type: ClassVar[str] = "tenant.created"
    tenant_id: UUID
    name: str
    slug: str

    @property
    def subject_id(self) -> UUID:
        """The tenant."""
        return self.tenant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSuspended(Event):
    """A tenant was suspended: nobody of it can sign in, and nothing should be sent for it."""

    type: ClassVar[str] = "tenant.suspended"
    tenant_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The tenant."""
        return self.tenant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantResumed(Event):
    """A tenant's suspension was lifted."""

    type: ClassVar[str] = "tenant.resumed"
    tenant_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The tenant."""
        return self.tenant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInvited(Event):
    """Somebody was invited; to send the invitation's link is the inviter's business."""

    type: ClassVar[str] = "user.invited"
    invitation_id: UUID
    role_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The invitation."""
        return self.invitation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UserJoined(Event):
    """A person became a member of the tenant."""

    type: ClassVar[str] = "user.joined"
    user_id: UUID
    role_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRoleChanged(Event):
    """A member has another role."""

    type: ClassVar[str] = "user.role_changed"
    user_id: UUID
    role_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSuspended(Event):
    """A member was suspended: assignments to them should be given to others."""

    type: ClassVar[str] = "user.suspended"
    user_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UserResumed(Event):
    """A member's suspension was lifted."""

    type: ClassVar[str] = "user.resumed"
    user_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRemoved(Event):
    """A person is no member any more."""

    type: ClassVar[str] = "user.removed"
    user_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyCreated(Event):
    """An API key was made."""

    type: ClassVar[str] = "api_key.created"
    api_key_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The key."""
        return self.api_key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRevoked(Event):
    """An API key was revoked."""

    type: ClassVar[str] = "api_key.revoked"
    api_key_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The key."""
        return self.api_key_id
