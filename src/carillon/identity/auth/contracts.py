"""What crosses the boundary of auth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from carillon.identity.tenants.contracts import Tenant
from carillon.identity.users.contracts import Member
from carillon.kernel.subject import SubjectKind


@dataclass(frozen=True, slots=True)
class Client:
    """Who is at the other end of a request.

    Attributes:
        address: Network address.
        user_agent: What the browser calls itself, cut to 300 characters.
        request_id: The request.
    """

    address: str
    user_agent: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser.

    Attributes:
        id: Of the session.
        address: Where it was opened from.
        user_agent: By what.
        created_at: When.
        last_seen_at: Last use, to the minute.
        expires_at: When it ends, however much it is used.
    """

    id: UUID
    address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new session with the cookie's value, which is known only now.

    Attributes:
        tenant_id: Where it is.
        user_id: Whose it is.
        session: What is stored.
        token: The cookie's value; a secret.
    """

    tenant_id: UUID
    user_id: UUID
    session: Session
    token: str

    def __repr__(self) -> str:
        return f"OpenedSession({self.session.id})"


@dataclass(frozen=True, slots=True)
class OwnTenant:
    """A tenant that a person belongs to.

    Attributes:
        id: Of the tenant.
        name: For people.
        slug: For addresses.
        active: Neither it nor the membership is suspended.
    """

    id: UUID
    name: str
    slug: str
    active: bool


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of an e-mail address before anybody proved anything: never leaves the service.

    Attributes:
        user_id: The person.
        password_hash: To be verified.
        tenants: Theirs, the one they used last first.
    """

    user_id: UUID
    password_hash: str
    tenants: Sequence[OwnTenant]

    def __repr__(self) -> str:
        return f"Account({self.user_id})"


@dataclass(frozen=True, slots=True)
class Me:
    """Who one is here.

    Attributes:
        kind: A person or a key.
        credential_id: The session or key.
        permissions: Bit mask.
        tenant: Where.
        user: The person; None for a key.
        tenants: All of the person's; only this one for a key.
    """

    kind: SubjectKind
    credential_id: UUID | None
    permissions: int
    tenant: Tenant
    user: Member | None
    tenants: Sequence[OwnTenant]


@dataclass(frozen=True, slots=True)
class InvitationPreview:
    """What the invited person sees before accepting.

    Attributes:
        tenant_name: Who invites.
        email: Who is invited.
        role_name: As what.
        has_account: They accept with their password; else they choose one.
    """

    tenant_name: str
    email: str
    role_name: str
    has_account: bool


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """The state of a person's second factor.

    Attributes:
        active: It is asked for.
        recovery_codes_left: Of ten.
    """

    active: bool
    recovery_codes_left: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A second factor to be put into an authenticator app; known only now.

    Attributes:
        secret: Base32, to type in.
        uri: `otpauth://…`, to show as a QR code.
    """

    secret: str
    uri: str

    def __repr__(self) -> str:
        return "Enrolment(…)"


@dataclass(frozen=True, slots=True)
class FirstLogin:
    """The first owner of a new installation; the password is known only now.

    Attributes:
        tenant_id: The first tenant.
        tenant_slug: Its slug.
        email: To sign in with.
        password: Likewise; a secret.
    """

    tenant_id: UUID
    tenant_slug: str
    email: str
    password: str

    def __repr__(self) -> str:
        return f"FirstLogin({self.email})"
