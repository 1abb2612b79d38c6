"""HTTP forms of users."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .contracts import Invitation, IssuedInvitation, Member, MemberState


class UserOut(BaseModel):
    """A member of the tenant."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    email: str
    name: str
    language: str | None
    time_zone: str | None
    role_id: UUID
    role_name: str
    state: MemberState
    second_factor: bool = Field(description="Whether they sign in with a second factor")
    last_signed_in_at: datetime | None
    joined_at: datetime

    @classmethod
    def of(cls, member: Member) -> "UserOut":
        """From the contract."""
        return cls(
            id=member.user_id,
            email=member.email,
            name=member.name,
            language=member.language,
            time_zone=member.time_zone,
            role_id=member.role_id,
            role_name=member.role_name,
            state=member.state,
            second_factor=member.second_factor,
            last_signed_in_at=member.last_signed_in_at,
            joined_at=member.joined_at,
        )


class UserChange(BaseModel):
    """What to change of a member."""

    model_config = ConfigDict(extra="forbid")

    role_id: UUID


class InvitationIn(BaseModel):
    """Whom to invite."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(max_length=254)]
    role_id: UUID


class InvitationOut(BaseModel):
    """An open invitation."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    email: str
    role_id: UUID
    role_name: str
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> "InvitationOut":
        """From the contract."""
        return cls(
            id=invitation.id,
            email=invitation.email,
            role_id=invitation.role_id,
            role_name=invitation.role_name,
            invited_by=invitation.invited_by,
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
        )


class InvitationIssued(BaseModel):
    """A new invitation; its token is shown only now."""

    model_config = ConfigDict(extra="forbid")

    invitation: InvitationOut
    token: str = Field(description="Send it to the invited person and nobody else")

    @classmethod
    def issued(cls, issued: IssuedInvitation) -> "InvitationIssued":
        """From the contract."""
        return cls(invitation=InvitationOut.of(issued.invitation), token=issued.token)
