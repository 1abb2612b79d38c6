"""SQL of members and people."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.identity.roles import api as roles
from carillon.kernel.ids import uuid7
from carillon.storage.database import Tx

from .contracts import Member, MemberFilter, MemberState, NewUser

_MEMBER = """
SELECT m.user_id, u.email, u.name, u.language, u.time_zone, m.role_id, r.name AS role_name, r.builtin, r.permissions,
       m.state, u.totp_secret IS NOT NULL AS second_factor, m.last_signed_in_at, m.created_at AS joined_at
FROM identity.membership m
JOIN identity."user" u ON u.id = m.user_id
JOIN identity.role r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
WHERE m.tenant_id = :tenant
"""
_OTHER_OWNERS = """
SELECT count(*) FROM identity.membership m
JOIN identity.role r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
WHERE m.tenant_id = :tenant AND m.user_id <> :user AND m.state = 'active' AND r.builtin = :owner
"""


async def find(tx: Tx, user_id: UUID) -> Member | None:
    """One member."""
    row = await tx.first(f"{_MEMBER} AND m.user_id = :user", {"tenant": tx.tenant, "user": user_id})
    return _member(row) if row else None


async def read_page(tx: Tx, wanted: MemberFilter, after: tuple[datetime, UUID] | None, limit: int) -> list[Member]:
    """Members that match, newest first."""
    conditions, params = [""], {"tenant": tx.tenant, "limit": limit}
    if wanted.text:
        # position() takes no pattern, so nothing in the text needs escaping.
        conditions.append("position(lower(:text) IN lower(u.name || ' ' || u.email)) > 0")
        params["text"] = wanted.text
    if wanted.role_id is not None:
        conditions.append("m.role_id = :role")
        params["role"] = wanted.role_id
    if wanted.state is not None:
        conditions.append("m.state = :state")
        params["state"] = wanted.state.value
    if after is not None:
        conditions.append("(m.created_at, m.user_id) < (:joined, :user)")
        params |= {"joined": after[0], "user": after[1]}
    order = " ORDER BY m.created_at DESC, m.user_id DESC LIMIT :limit"
    return [_member(row) for row in await tx.all(_MEMBER + " AND ".join(conditions) + order, params)]


async def email_is_member(tx: Tx, email: str) -> bool:
    """Whether a member of the tenant has this address."""
    return bool(
        await tx.scalar(
            'SELECT EXISTS (SELECT FROM identity.membership m JOIN identity."user" u ON u.id = m.user_id '
            "WHERE m.tenant_id = :tenant AND u.email = :email)",
            {"tenant": tx.tenant, "email": email},
        )
    )


async def insert_user(tx: Tx, new: NewUser) -> UUID:
    """Add a person; without a membership in the same transaction nobody sees them."""
    user_id = uuid7()
    await tx.execute(
        'INSERT INTO identity."user" (id, email, name, password_hash, language, time_zone) '
        "VALUES (:id, :email, :name, :password_hash, :language, :time_zone)",
        {"id": user_id, **asdict(new)},
    )
    return user_id


async def update_user(
    tx: Tx, user_id: UUID, *, name: str, language: str | None, time_zone: str | None, now: datetime
) -> None:
    """Store a person's profile."""
    await tx.execute(
        'UPDATE identity."user" SET name = :name, language = :language, time_zone = :time_zone, updated_at = :now '
        "WHERE id = :id",
        {"id": user_id, "name": name, "language": language, "time_zone": time_zone, "now": now},
    )


async def touch_user(tx: Tx, user_id: UUID, now: datetime) -> None:
    """Note that something about a person changed."""
    await tx.execute('UPDATE identity."user" SET updated_at = :now WHERE id = :id', {"id": user_id, "now": now})


async def insert_membership(tx: Tx, user_id: UUID, role_id: UUID, invited_by: UUID | None) -> bool:
    """Make a person a member; False if they are one."""
    result = await tx.execute(
        "INSERT INTO identity.membership (tenant_id, user_id, role_id, invited_by) "
        "VALUES (:tenant, :user, :role, :invited_by) ON CONFLICT (tenant_id, user_id) DO NOTHING",
        {"tenant": tx.tenant, "user": user_id, "role": role_id, "invited_by": invited_by},
    )
    return bool(result.rowcount)


async def update_membership(tx: Tx, user_id: UUID, *, now: datetime, **values: Any) -> None:
    """Set `role_id` or `state`."""
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    await tx.execute(
        f"UPDATE identity.membership SET {assignments}, updated_at = :now "  # noqa: S608 - names of our own
        "WHERE tenant_id = :tenant AND user_id = :user",
        {"tenant": tx.tenant, "user": user_id, "now": now, **values},
    )


async def delete_membership(tx: Tx, user_id: UUID) -> None:
    """End a membership, and with it the person's sessions here."""
    await tx.execute(
        "DELETE FROM identity.membership WHERE tenant_id = :tenant AND user_id = :user",
        {"tenant": tx.tenant, "user": user_id},
    )


async def lock_members(tx: Tx) -> None:
    """Let only one transaction at a time change who belongs to the tenant, until this one ends."""
    await tx.execute("SELECT 1 FROM identity.tenant WHERE id = :tenant FOR NO KEY UPDATE", {"tenant": tx.tenant})


async def other_owners(tx: Tx, user_id: UUID) -> int:
    """How many active owners there are besides this person."""
    params = {"tenant": tx.tenant, "user": user_id, "owner": roles.OWNER}
    return int(await tx.scalar(_OTHER_OWNERS, params))


async def delete_orphans(tx: Tx, before: datetime) -> int:
    """In a worker's transaction across tenants: forget people who belong nowhere and did not change since."""
    result = await tx.execute(
        'DELETE FROM identity."user" u WHERE u.updated_at < :before '
        "AND NOT EXISTS (SELECT FROM identity.membership m WHERE m.user_id = u.id)",
        {"before": before},
    )
    return result.rowcount


def _member(row: RowMapping) -> Member:
    return Member(
        user_id=row["user_id"],
        email=row["email"],
        name=row["name"],
        language=row["language"],
        time_zone=row["time_zone"],
        role_id=row["role_id"],
        role_name=row["role_name"],
        role_builtin=row["builtin"],
        role_mask=roles.effective_mask(row["builtin"], int(row["permissions"])),
        state=MemberState(row["state"]),
        second_factor=row["second_factor"],
        last_signed_in_at=row["last_signed_in_at"],
        joined_at=row["joined_at"],
    )
