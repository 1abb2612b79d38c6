"""HTTP forms of auth."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from carillon.identity.forms import ShownName
from carillon.identity.tenants.contracts import Tenant
from carillon.identity.users.contracts import Member
from carillon.kernel.permissions import list_permissions
from carillon.kernel.subject import SubjectKind

from .contracts import Enrolment, InvitationPreview, Me, OpenedSession, OwnTenant, SecondFactor, Session

Password = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"format": "password"})]
Code = Annotated[str, Field(min_length=1, max_length=40, description="Of the authenticator app, or a recovery code")]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoginIn(_Form):
    """Sign-in; without `code` it answers `second_factor_required` to who has a second factor."""

    email: Annotated[str, Field(max_length=254)]
    password: Password
    code: Code | None = None
    tenant: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Slug of the tenant to sign in to; the last one when left out"
    )


class LoginOut(_Form):
    """A new session; its secret is in the cookie."""

    tenant_id: UUID
    user_id: UUID
    session_id: UUID
    expires_at: datetime

    @classmethod
    def of(cls, opened: OpenedSession) -> "LoginOut":
        """From the contract."""
        return cls(
            tenant_id=opened.tenant_id,
            user_id=opened.user_id,
            session_id=opened.session.id,
            expires_at=opened.session.expires_at,
        )


class OwnTenantOut(_Form):
    """A tenant one belongs to."""

    id: UUID
    name: str
    slug: str
    active: bool = Field(description="False while it, or one's membership, is suspended")

    @classmethod
    def of(cls, own: OwnTenant) -> "OwnTenantOut":
        """From the contract."""
        return cls(id=own.id, name=own.name, slug=own.slug, active=own.active)


class PresentTenantOut(_Form):
    """The tenant one is signed in to."""

    id: UUID
    name: str
    slug: str
    time_zone: str
    language: str
    region: str | None

    @classmethod
    def of(cls, tenant: Tenant) -> "PresentTenantOut":
        """From the contract."""
        return cls(
            id=tenant.id,
            name=tenant.name,
            slug=tenant.slug,
            time_zone=tenant.time_zone,
            language=tenant.language,
            region=tenant.region,
        )


class ProfileOut(_Form):
    """Oneself."""

    id: UUID
    email: str
    name: str
    language: str | None = Field(description="None: the tenant's")
    time_zone: str | None = Field(description="None: the tenant's")
    role_id: UUID
    role_name: str
    second_factor: bool

    @classmethod
    def of(cls, member: Member) -> "ProfileOut":
        """From the contract."""
        return cls(
            id=member.user_id,
            email=member.email,
            name=member.name,
            language=member.language,
            time_zone=member.time_zone,
            role_id=member.role_id,
            role_name=member.role_name,
            second_factor=member.second_factor,
        )


class MeOut(_Form):
    """Who one is here."""

    kind: SubjectKind
    credential_id: UUID | None = Field(description="The session or API key")
    permissions: list[str]
    tenant: PresentTenantOut
    user: ProfileOut | None = Field(description="None for an API key")
    tenants: list[OwnTenantOut]

    @classmethod
    def of(cls, me: Me) -> "MeOut":
        """From the contract."""
        return cls(
            kind=me.kind,
            credential_id=me.credential_id,
            permissions=[permission.wire for permission in list_permissions(me.permissions)],
            tenant=PresentTenantOut.of(me.tenant),
            user=ProfileOut.of(me.user) if me.user else None,
            tenants=[OwnTenantOut.of(own) for own in me.tenants],
        )


class ProfileIn(_Form):
    """One's whole profile, which all of one's tenants see."""

    name: ShownName
    language: Annotated[str, Field(max_length=35, description="BCP 47; none: the tenant's")] | None = None
    time_zone: Annotated[str, Field(max_length=64, description="IANA; none: the tenant's")] | None = None


class SwitchIn(_Form):
    """Where to go."""

    tenant_id: UUID


class PasswordChange(_Form):
    """A new password."""

    current: Password
    new: Password


class PasswordConfirmation(_Form):
    """One's password, to confirm."""

    password: Password


class SessionOut(_Form):
    """A signed-in browser."""

    id: UUID
    current: bool = Field(description="The one that asks")
    address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime = Field(description="To the minute")
    expires_at: datetime

    @classmethod
    def of(cls, session: Session, current: UUID | None) -> "SessionOut":
        """From the contract."""
        return cls(
            id=session.id,
            current=session.id == current,
            address=session.address,
            user_agent=session.user_agent,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
        )


class SecondFactorOut(_Form):
    """The state of one's second factor."""

    active: bool
    recovery_codes_left: int

    @classmethod
    def of(cls, state: SecondFactor) -> "SecondFactorOut":
        """From the contract."""
        return cls(active=state.active, recovery_codes_left=state.recovery_codes_left)


class EnrolmentOut(_Form):
    """A second factor to put into an authenticator app; shown only now."""

    secret: str
    uri: str = Field(description="For a QR code")

    @classmethod
    def of(cls, enrolment: Enrolment) -> "EnrolmentOut":
        """From the contract."""
        return cls(secret=enrolment.secret, uri=enrolment.uri)


class CodeIn(_Form):
    """A code of the authenticator app."""

    code: Code


class RecoveryCodesOut(_Form):
    """Ten codes, each good for one sign-in without the app; shown only now."""

    recovery_codes: list[str]


class InvitationToken(_Form):
    """The token of an invitation's link."""

    token: Annotated[str, Field(max_length=200)]


class InvitationPreviewOut(_Form):
    """What an invitation is for."""

    tenant_name: str
    email: str
    role_name: str
    has_account: bool = Field(description="Accept with the present password; else choose one")

    @classmethod
    def of(cls, preview: InvitationPreview) -> "InvitationPreviewOut":
        """From the contract."""
        return cls(
            tenant_name=preview.tenant_name,
            email=preview.email,
            role_name=preview.role_name,
            has_account=preview.has_account,
        )


class InvitationAcceptance(_Form):
    """How an invitation is accepted."""

    token: Annotated[str, Field(max_length=200)]
    password: Password
    name: ShownName | None = Field(default=None, description="Of a new person")
    code: Code | None = Field(default=None, description="Second factor of somebody who has one")
