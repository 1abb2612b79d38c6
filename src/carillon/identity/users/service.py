"""The rules of membership: who may decide over whom, and that an owner remains."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from carillon.events import outbox
from carillon.events.catalog.identity import UserJoined, UserRemoved, UserResumed, UserRoleChanged, UserSuspended
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.identity.places import is_language, is_time_zone
from carillon.identity.roles import api as roles
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import repository
from .contracts import Member, MemberFilter, MemberState, NewUser
from .errors import AlreadyMember, EmailTaken, LastOwner, ProfileInvalid, UserNotFound

_ORPHANS_KEPT: Final = timedelta(days=30)


async def list_members(tx: Tx, page: PageRequest, wanted: MemberFilter) -> Page[Member]:
    """Members that match, newest first.

    Raises:
        BadCursor: The cursor is not one of ours.
    """
    after = decode_cursor(page.cursor, datetime.fromisoformat, UUID) if page.cursor else None  # type: ignore[arg-type] # any callable that makes the value
    members = await repository.read_page(tx, wanted, after, page.limit + 1)
    if len(members) <= page.limit:
        return Page(members)
    last = members[page.limit - 1]
    return Page(members[: page.limit], encode_cursor(last.joined_at.isoformat(), str(last.user_id)))


async def get_member(tx: Tx, user_id: UUID) -> Member:
    """One member.

    Raises:
        UserNotFound: No such member of this tenant.
    """
    found = await repository.find(tx, user_id)
    if found is None:
        raise UserNotFound(user_id=str(user_id))
    return found


async def add_user(tx: Tx, new: NewUser) -> UUID:
    """Add a person who has no account in this installation; make them a member in the same transaction.

    Raises:
        EmailTaken: They have one.
    """
    check_profile(new.language, new.time_zone)
    try:
        async with tx.connection.begin_nested():
            return await repository.insert_user(tx, new)
    except IntegrityError as error:
        raise EmailTaken(place="email") from error


async def join(tx: Tx, subject: Subject, user_id: UUID, role_id: UUID, *, invited_by: UUID | None = None) -> None:
    """Make a person a member.

    Raises:
        AlreadyMember: They are one.
        RoleNotFound: No such role.
    """
    role = await roles.get_role(tx, role_id)
    if not await repository.insert_membership(tx, user_id, role_id, invited_by):
        raise AlreadyMember
    await outbox.append(tx, UserJoined(user_id=user_id, role_id=role_id))
    await audit.record(tx, subject, "user.joined", user_id, {"role": role.name, "invited_by": invited_by})


async def change_role(tx: Tx, subject: Subject, user_id: UUID, role_id: UUID) -> Member:
    """Give a member another role; it counts within 5 seconds.

    Raises:
        UserNotFound, RoleNotFound: No such thing here.
        PermissionEscalation: Their old or new role has permissions that the subject lacks.
        LastOwner: They are the only active owner.
    """
    member = await _take(tx, subject, user_id)
    role = await roles.get_role(tx, role_id)
    roles.check_within(subject, role.mask)
    if role.id == member.role_id:
        return member
    if role.builtin != roles.OWNER:
        await _keep_owner(tx, member)
    await repository.update_membership(tx, user_id, now=datetime.now(UTC), role_id=role_id)
    await outbox.append(tx, UserRoleChanged(user_id=user_id, role_id=role_id))
    await audit.record(tx, subject, "user.role_changed", user_id, {"from": member.role_name, "to": role.name})
    return await get_member(tx, user_id)


async def suspend(tx: Tx, subject: Subject, user_id: UUID) -> Member:
    """Within 5 seconds their sessions and keys stop working in this tenant; safe to repeat.

    Raises:
        UserNotFound: No such member.
        PermissionEscalation: They have permissions that the subject lacks.
        LastOwner: They are the only active owner.
    """
    member = await _take(tx, subject, user_id)
    if member.state is MemberState.SUSPENDED:
        return member
    await _keep_owner(tx, member)
    return await _set_state(tx, subject, user_id, MemberState.SUSPENDED)


async def resume(tx: Tx, subject: Subject, user_id: UUID) -> Member:
    """Lift a suspension; safe to repeat.

    Raises:
        UserNotFound: No such member.
        PermissionEscalation: They have permissions that the subject lacks.
    """
    member = await _take(tx, subject, user_id)
    if member.state is MemberState.ACTIVE:
        return member
    return await _set_state(tx, subject, user_id, MemberState.ACTIVE)


async def remove(tx: Tx, subject: Subject, user_id: UUID) -> None:
    """End a membership; the person's account and their other tenants are not touched.

    Raises:
        UserNotFound: No such member.
        PermissionEscalation: They have permissions that the subject lacks.
        LastOwner: They are the only active owner.
    """
    member = await _take(tx, subject, user_id)
    await _keep_owner(tx, member)
    # Seen from here the person vanishes with the membership, so touch them first: orphans are kept a while.
    await repository.touch_user(tx, user_id, datetime.now(UTC))
    await repository.delete_membership(tx, user_id)
    await outbox.append(tx, UserRemoved(user_id=user_id))
    await audit.record(tx, subject, "user.removed", user_id, {"role": member.role_name})


async def update_profile(tx: Tx, user_id: UUID, *, name: str, language: str | None, time_zone: str | None) -> Member:
    """Store a person's own profile, which all their tenants see.

    Raises:
        ProfileInvalid: Unknown language or time zone.
        UserNotFound: No such member.
    """
    check_profile(language, time_zone)
    await repository.update_user(tx, user_id, name=name, language=language, time_zone=time_zone, now=datetime.now(UTC))
    return await get_member(tx, user_id)


def check_profile(language: str | None, time_zone: str | None) -> None:
    """Refuse what is no language or time zone.

    Raises:
        ProfileInvalid: As said; `place` names it.
    """
    if language is not None and not is_language(language):
        raise ProfileInvalid(place="language", language=language)
    if time_zone is not None and not is_time_zone(time_zone):
        raise ProfileInvalid(place="time_zone", time_zone=time_zone)


async def purge_orphans(resources: Resources) -> int:
    """Forget people who have belonged to no tenant for 30 days; returns how many."""
    async with resources.database.across_tenants() as tx:
        return await repository.delete_orphans(tx, resources.clock.now() - _ORPHANS_KEPT)


async def _take(tx: Tx, subject: Subject, user_id: UUID) -> Member:
    """The member to be changed, whom nobody else changes meanwhile."""
    await repository.lock_members(tx)
    member = await get_member(tx, user_id)
    roles.check_within(subject, member.role_mask)
    return member


async def _keep_owner(tx: Tx, member: Member) -> None:
    is_active_owner = member.role_builtin == roles.OWNER and member.state is MemberState.ACTIVE
    if is_active_owner and not await repository.other_owners(tx, member.user_id):
        raise LastOwner


async def _set_state(tx: Tx, subject: Subject, user_id: UUID, state: MemberState) -> Member:
    await repository.update_membership(tx, user_id, now=datetime.now(UTC), state=state.value)
    suspended = state is MemberState.SUSPENDED
    event = UserSuspended(user_id=user_id) if suspended else UserResumed(user_id=user_id)
    await outbox.append(tx, event)
    await audit.record(tx, subject, event.type, user_id)
    return await get_member(tx, user_id)
