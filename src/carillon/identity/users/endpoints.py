"""`/users` and `/users/invitations`."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .contracts import MemberFilter, MemberState
from .schemas import InvitationIn, InvitationIssued, InvitationOut, UserChange, UserOut

router = make_router("/users", "users")
_Reader = Annotated[Context, allow(Permission.USERS_READ)]
_Writer = Annotated[Context, allow(Permission.USERS_WRITE)]


@router.get("", status_code=200, summary="List users")
async def list_users(
    context: _Reader,
    page: PageQuery,
    search: Annotated[str | None, Query(max_length=100, description="Part of the name or e-mail address")] = None,
    role_id: UUID | None = None,
    state: MemberState | None = None,
) -> PageOut[UserOut]:
    """Members of the tenant, newest first."""
    wanted = MemberFilter(text=search, role_id=role_id, state=state)
    found = await api.list_members(context.tx, page, wanted)
    return PageOut(items=[UserOut.of(member) for member in found.items], next_cursor=found.next_cursor)


@router.get("/invitations", status_code=200, summary="List open invitations")
async def list_invitations(context: _Reader, page: PageQuery) -> PageOut[InvitationOut]:
    """Newest first."""
    found = await api.list_invitations(context.tx, page)
    return PageOut(items=[InvitationOut.of(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("/invitations", status_code=201, summary="Invite a user")
async def invite_user(context: _Writer, body: InvitationIn) -> InvitationIssued:
    """For 7 days. Inviting the same address again ends the earlier invitation."""
    issued = await api.invite(
        context.tx,
        context.subject,
        context.resources.vault,
        email=body.email,
        role_id=body.role_id,
        now=context.resources.clock.now(),
    )
    return InvitationIssued.issued(issued)


@router.delete("/invitations/{invitation_id}", status_code=204, summary="Withdraw an invitation")
async def withdraw_invitation(context: _Writer, invitation_id: UUID) -> None:
    """Its link stops working at once."""
    await api.withdraw(context.tx, context.subject, invitation_id)


@router.get("/{user_id}", status_code=200, summary="Read a user")
async def get_user(context: _Reader, user_id: UUID) -> UserOut:
    """One member."""
    return UserOut.of(await api.get_member(context.tx, user_id))


@router.patch("/{user_id}", status_code=200, summary="Change a user's role")
async def update_user(context: _Writer, user_id: UUID, body: UserChange) -> UserOut:
    """Counts within 5 seconds."""
    return UserOut.of(await api.change_role(context.tx, context.subject, user_id, body.role_id))


@router.post("/{user_id}/suspend", status_code=200, summary="Suspend a user")
async def suspend_user(context: _Writer, user_id: UUID) -> UserOut:
    """Within 5 seconds their sessions and keys stop working in this tenant."""
    return UserOut.of(await api.suspend(context.tx, context.subject, user_id))


@router.post("/{user_id}/resume", status_code=200, summary="Lift a user's suspension")
async def resume_user(context: _Writer, user_id: UUID) -> UserOut:
    """They may sign in again."""
    return UserOut.of(await api.resume(context.tx, context.subject, user_id))


@router.delete("/{user_id}", status_code=204, summary="Remove a user")
async def remove_user(context: _Writer, user_id: UUID) -> None:
    """From this tenant; their account in other tenants stays."""
    await api.remove(context.tx, context.subject, user_id)
