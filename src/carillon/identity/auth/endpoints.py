"""`/auth`."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from carillon.gateway.context import Anyone, Context, OpenContext, SignedIn
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import open_router as make_open_router
from carillon.gateway.routing import router as make_router
from carillon.identity.users import api as users

from . import api
from .contracts import Client, OpenedSession
from .schemas import (
    CodeIn,
    EnrolmentOut,
    InvitationAcceptance,
    InvitationPreviewOut,
    InvitationToken,
    LoginIn,
    LoginOut,
    MeOut,
    PasswordChange,
    PasswordConfirmation,
    ProfileIn,
    ProfileOut,
    RecoveryCodesOut,
    SecondFactorOut,
    SessionOut,
    SwitchIn,
)

open_router = make_open_router("/auth", "auth")
router = make_router("/auth", "auth")
_LONGEST_AGENT = 300


def _client(request: Request) -> Client:
    context: Context | OpenContext = request.state.context
    agent = "".join(letter for letter in request.headers.get("user-agent", "") if letter.isprintable())
    return Client(context.address, agent[:_LONGEST_AGENT], context.request_id)


AtClient = Annotated[Client, Depends(_client)]


@open_router.post("/login", status_code=200, summary="Sign in")
async def login(context: Anyone, client: AtClient, response: Response, body: LoginIn) -> LoginOut:
    """Sets the session cookie. Send `code` along once it answers `second_factor_required`."""
    opened = await api.sign_in(
        context.resources, client, email=body.email, password=body.password, code=body.code, tenant=body.tenant
    )
    return _opened(context, response, opened)


@open_router.post("/invitations/read", status_code=200, summary="Look at an invitation")
async def read_invitation(context: Anyone, body: InvitationToken) -> InvitationPreviewOut:
    """For whoever has its link."""
    return InvitationPreviewOut.of(await api.preview_invitation(context.resources, body.token))


@open_router.post("/invitations/accept", status_code=200, summary="Accept an invitation")
async def accept_invitation(
    context: Anyone, client: AtClient, response: Response, body: InvitationAcceptance
) -> LoginOut:
    """Makes the invited person a member and signs them in."""
    opened = await api.accept_invitation(
        context.resources, client, token=body.token, password=body.password, name=body.name, code=body.code
    )
    return _opened(context, response, opened)


def _opened(context: Context | OpenContext, response: Response, opened: OpenedSession) -> LoginOut:
    api.set_cookie(response, context.resources.settings, opened.token)
    return LoginOut.of(opened)


@router.post("/logout", status_code=204, summary="Sign out")
async def logout(context: SignedIn, response: Response) -> None:
    """Ends the session within 5 seconds and clears the cookie."""
    await api.sign_out(context.tx, context.subject)
    api.clear_cookie(response, context.resources.settings)


@router.get("/me", status_code=200, summary="Who am I?")
async def get_me(context: SignedIn) -> MeOut:
    """One's permissions and tenants."""
    return MeOut.of(await api.get_me(context.tx, context.subject))


@router.put("/me", status_code=200, summary="Change one's profile")
async def update_me(context: SignedIn, body: ProfileIn) -> ProfileOut:
    """Replaces the whole of it; all of one's tenants see it."""
    user_id = api.acting_user(context.subject)
    member = await users.update_profile(
        context.tx, user_id, name=body.name, language=body.language, time_zone=body.time_zone
    )
    return ProfileOut.of(member)


@router.post("/switch", status_code=200, summary="Go over to another tenant")
async def switch_tenant(context: SignedIn, client: AtClient, response: Response, body: SwitchIn) -> LoginOut:
    """Ends this session and opens one there."""
    opened = await api.switch_tenant(context.resources, context.tx, context.subject, client, body.tenant_id)
    return _opened(context, response, opened)


@router.post("/password", status_code=204, summary="Change one's password")
async def change_password(context: SignedIn, body: PasswordChange) -> None:
    """All other sessions end within 5 seconds, in every tenant."""
    await api.change_password(context.resources, context.tx, context.subject, current=body.current, new=body.new)


@router.get("/sessions", status_code=200, summary="List one's sessions")
async def list_sessions(context: SignedIn, page: PageQuery) -> PageOut[SessionOut]:
    """In this tenant, newest first."""
    user_id = api.acting_user(context.subject)
    found = await api.list_sessions(context.tx, user_id, page, context.resources.clock.now())
    current = context.subject.credential_id
    return PageOut(items=[SessionOut.of(item, current) for item in found.items], next_cursor=found.next_cursor)


@router.delete("/sessions/{session_id}", status_code=204, summary="End one of one's sessions")
async def end_session(context: SignedIn, session_id: UUID) -> None:
    """Within 5 seconds."""
    await api.end_own_session(context.tx, context.subject, session_id)


@router.post("/sessions/end-others", status_code=204, summary="End all of one's other sessions")
async def end_other_sessions(context: SignedIn) -> None:
    """Within 5 seconds, in every tenant."""
    await api.end_other_sessions(context.tx, context.subject)


@router.get("/totp", status_code=200, summary="Read the state of one's second factor")
async def get_second_factor(context: SignedIn) -> SecondFactorOut:
    """Whether it is active."""
    return SecondFactorOut.of(await api.get_second_factor(context.tx, context.subject))


@router.post("/totp", status_code=200, summary="Begin to set up a second factor")
async def enrol_second_factor(context: SignedIn, body: PasswordConfirmation) -> EnrolmentOut:
    """It becomes active once confirmed with a code."""
    enrolment = await api.enrol_second_factor(context.resources, context.tx, context.subject, body.password)
    return EnrolmentOut.of(enrolment)


@router.post("/totp/confirm", status_code=200, summary="Activate the second factor")
async def confirm_second_factor(context: SignedIn, body: CodeIn) -> RecoveryCodesOut:
    """Answers ten recovery codes, shown only now."""
    codes = await api.confirm_second_factor(context.resources, context.tx, context.subject, body.code)
    return RecoveryCodesOut(recovery_codes=codes)


@router.post("/totp/recovery-codes", status_code=200, summary="Renew the recovery codes")
async def renew_recovery_codes(context: SignedIn, body: PasswordConfirmation) -> RecoveryCodesOut:
    """The old ones stop working."""
    codes = await api.renew_recovery_codes(context.resources, context.tx, context.subject, body.password)
    return RecoveryCodesOut(recovery_codes=codes)


@router.post("/totp/disable", status_code=204, summary="Turn the second factor off")
async def disable_second_factor(context: SignedIn, body: PasswordConfirmation) -> None:
    """Needs the password."""
    await api.disable_second_factor(context.resources, context.tx, context.subject, body.password)
