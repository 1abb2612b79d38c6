"""The rules of roles: who may define what."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import BY_WIRE, Permission, compile_permissions, list_permissions
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx

from . import repository
from .builtin import BUILTIN_ROLES
from .contracts import Role
from .errors import PermissionEscalation, RoleBuiltin, RoleExists, RoleInUse, RoleNotFound, UnknownPermission


def read_permissions(names: Iterable[str], place: str = "permissions") -> int:
    """The bit mask of permissions by their names on the wire.

    Raises:
        UnknownPermission: One is not a permission; `place` says which.
    """
    found: list[Permission] = []
    for index, name in enumerate(names):
        if name not in BY_WIRE:
            raise UnknownPermission(place=f"{place}.{index}", permission=name)
        found.append(BY_WIRE[name])
    return compile_permissions(found)


def check_within(subject: Subject, mask: int) -> None:
    """Refuse to let somebody give away, or decide over, more than they have.

    Raises:
        PermissionEscalation: The mask has a permission that the subject lacks.
    """
    missing = mask & ~subject.permissions
    if missing:
        raise PermissionEscalation(missing=[permission.wire for permission in list_permissions(missing)])


async def ensure_builtin(tx: Tx) -> None:
    """Give the tenant the built-in roles it lacks; safe to repeat."""
    await repository.insert_builtin(tx, BUILTIN_ROLES)


async def list_roles(tx: Tx) -> list[Role]:
    """All roles of the tenant, built-in ones first."""
    order = list(BUILTIN_ROLES)
    roles = await repository.read_all(tx)
    # Python's sort is stable: the tenant's own keep the order of their names.
    return sorted(roles, key=lambda role: order.index(role.builtin) if role.builtin in order else len(order))


async def get_role(tx: Tx, role_id: UUID) -> Role:
    """One role.

    Raises:
        RoleNotFound: There is none.
    """
    found = await repository.find(tx, role_id)
    if found is None:
        raise RoleNotFound(role_id=str(role_id))
    return found


async def builtin_role(tx: Tx, name: str) -> Role:
    """A built-in role by its key.

    Raises:
        RoleNotFound: The tenant has none.
    """
    found = await repository.find_builtin(tx, name)
    if found is None:
        raise RoleNotFound(role=name)
    return found


async def create_role(tx: Tx, subject: Subject, *, name: str, description: str = "", mask: int) -> Role:
    """Make a role of the tenant's own.

    Raises:
        PermissionEscalation: It would have permissions that its maker lacks.
        RoleExists: The name is taken.
    """
    check_within(subject, mask)
    await _check_name(tx, name, None)
    role_id = uuid7()
    await repository.insert(tx, role_id, name, description, mask)
    await audit.record(tx, subject, "role.created", role_id, {"name": name, "permissions": _names(mask)})
    return await get_role(tx, role_id)


async def update_role(
    tx: Tx,
    subject: Subject,
    role_id: UUID,
    *,
    name: str | None = None,
    description: str | None = None,
    mask: int | None = None,
) -> Role:
    """Change a role of the tenant's own; its members have the new permissions within 5 seconds.

    Raises:
        RoleNotFound: There is none.
        RoleBuiltin: The product defines it.
        PermissionEscalation: It has, or would get, permissions that the subject lacks.
        RoleExists: The name is taken.
    """
    before = await _own(tx, subject, role_id)
    after = replace(
        before,
        name=before.name if name is None else name,
        description=before.description if description is None else description,
        mask=before.mask if mask is None else mask,
    )
    check_within(subject, after.mask)
    await _check_name(tx, after.name, role_id)
    await repository.update(
        tx, role_id, name=after.name, description=after.description, mask=after.mask, now=datetime.now(UTC)
    )
    details = {
        "name": after.name,
        "added": _names(after.mask & ~before.mask),
        "removed": _names(before.mask & ~after.mask),
    }
    await audit.record(tx, subject, "role.changed", role_id, details)
    return await get_role(tx, role_id)


async def delete_role(tx: Tx, subject: Subject, role_id: UUID) -> None:
    """Remove a role of the tenant's own.

    Raises:
        RoleNotFound: There is none.
        RoleBuiltin: The product defines it.
        PermissionEscalation: It has permissions that the subject lacks.
        RoleInUse: Somebody has it, or was invited to it.
    """
    before = await _own(tx, subject, role_id)
    if not await repository.delete(tx, role_id):
        raise RoleInUse(role_id=str(role_id), members=before.members)
    await audit.record(tx, subject, "role.deleted", role_id, {"name": before.name})


async def _own(tx: Tx, subject: Subject, role_id: UUID) -> Role:
    found = await repository.find(tx, role_id, lock=True)
    if found is None:
        raise RoleNotFound(role_id=str(role_id))
    if found.builtin:
        raise RoleBuiltin(role=found.builtin)
    check_within(subject, found.mask)
    return found


async def _check_name(tx: Tx, name: str, besides: UUID | None) -> None:
    if name.lower() in BUILTIN_ROLES or await repository.name_taken(tx, name, besides):
        raise RoleExists(place="name", name=name)


def _names(mask: int) -> list[str]:
    return [permission.wire for permission in list_permissions(mask)]
