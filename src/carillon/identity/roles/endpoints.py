"""`/roles`."""

from typing import Annotated
from uuid import UUID

from carillon.gateway.context import Context, allow
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import BY_WIRE, Permission

from . import api
from .schemas import RoleChange, RoleIn, RoleOut, RolesOut

router = make_router("/roles", "roles")
_Reader = Annotated[Context, allow(Permission.ROLES_READ)]
_Writer = Annotated[Context, allow(Permission.ROLES_WRITE)]


@router.get("", status_code=200, summary="List roles and permissions")
async def list_roles(context: _Reader) -> RolesOut:
    """Built-in ones first."""
    roles = await api.list_roles(context.tx)
    return RolesOut(items=[RoleOut.of(role) for role in roles], permissions=list(BY_WIRE))


@router.post("", status_code=201, summary="Make a role")
async def create_role(context: _Writer, body: RoleIn) -> RoleOut:
    """Its permissions must be among your own."""
    mask = api.read_permissions(body.permissions, "body.permissions")
    role = await api.create_role(context.tx, context.subject, name=body.name, description=body.description, mask=mask)
    return RoleOut.of(role)


@router.get("/{role_id}", status_code=200, summary="Read a role")
async def get_role(context: _Reader, role_id: UUID) -> RoleOut:
    """One role."""
    return RoleOut.of(await api.get_role(context.tx, role_id))


@router.patch("/{role_id}", status_code=200, summary="Change a role")
async def update_role(context: _Writer, role_id: UUID, body: RoleChange) -> RoleOut:
    """Its members have the new permissions within 5 seconds."""
    mask = None if body.permissions is None else api.read_permissions(body.permissions, "body.permissions")
    role = await api.update_role(
        context.tx, context.subject, role_id, name=body.name, description=body.description, mask=mask
    )
    return RoleOut.of(role)


@router.delete("/{role_id}", status_code=204, summary="Remove a role")
async def delete_role(context: _Writer, role_id: UUID) -> None:
    """Nobody may have it any more."""
    await api.delete_role(context.tx, context.subject, role_id)
