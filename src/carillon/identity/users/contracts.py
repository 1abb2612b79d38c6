"""What crosses the boundary of users."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class MemberState(StrEnum):
    """Whether a member may sign in to this tenant."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Member:
    """A person as a member of this tenant.

    Attributes:
        user_id: The person, the same in all their tenants.
        email: In small letters.
        name: For people.
        language: BCP 47; None: the tenant's.
        time_zone: IANA; None: the tenant's.
        role_id: Their role here.
        role_name: Its name.
        role_builtin: Its key if the product defines it.
        role_mask: Its permissions.
        state: Whether they may sign in here.
        second_factor: Whether they use one.
        last_signed_in_at: Into this tenant.
        joined_at: When they became a member.
    """

    user_id: UUID
    email: str
    name: str
    language: str | None
    time_zone: str | None
    role_id: UUID
    role_name: str
    role_builtin: str | None
    role_mask: int
    state: MemberState
    second_factor: bool
    last_signed_in_at: datetime | None
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which members are wanted; None asks for all.

    Attributes:
        text: Part of the name or e-mail address, in any case.
        role_id: With this role.
        state: In this state.
    """

    text: str | None = None
    role_id: UUID | None = None
    state: MemberState | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open invitation.

    Attributes:
        id: Of the invitation.
        email: Who is invited.
        role_id: The role they will have.
        role_name: Its name.
        role_mask: Its permissions.
        invited_by: The user who did it; None: a key or the system.
        created_at: When.
        expires_at: Until when the link works.
    """

    id: UUID
    email: str
    role_id: UUID
    role_name: str
    role_mask: int
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """A new invitation with its token, which is known only now.

    Attributes:
        invitation: What is stored.
        token: For the link; a secret.
    """

    invitation: Invitation
    token: str

    def __repr__(self) -> str:
        return f"IssuedInvitation({self.invitation.id})"


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to be added.

    Attributes:
        email: Normalised.
        name: For people.
        password_hash: As `auth` makes it.
        language: BCP 47; None: the tenant's.
        time_zone: IANA; None: the tenant's.
    """

    email: str
    name: str
    password_hash: str
    language: str | None = None
    time_zone: str | None = None

    def __repr__(self) -> str:
        return "NewUser(…)"
