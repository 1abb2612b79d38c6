"""Invitations: a link that makes whoever proves to be the invited person a member."""

import hmac
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.events import outbox
from carillon.events.catalog.identity import UserInvited
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.identity.roles import api as roles
from carillon.identity.tokens import Token, TokenKind, new_token, parse_token
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject, SubjectKind
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from carillon.storage.vault import Vault

from . import repository
from .contracts import Invitation, IssuedInvitation
from .emails import normalise_email
from .errors import AlreadyMember, InvitationInvalid, InvitationNotFound

LIFETIME: Final = timedelta(days=7)

_SELECT = """
SELECT i.id, i.email, i.role_id, r.name AS role_name, r.builtin, r.permissions, i.invited_by, i.created_at,
       i.expires_at, i.token_hash
FROM identity.invitation i
JOIN identity.role r ON r.tenant_id = i.tenant_id AND r.id = i.role_id
WHERE i.tenant_id = :tenant
"""
# Inviting again makes the earlier link worthless.
_INSERT = """
INSERT INTO identity.invitation (tenant_id, id, email, role_id, token_hash, invited_by, created_at, expires_at)
VALUES (:tenant, :id, :email, :role, :hash, :invited_by, :now, :expires_at)
ON CONFLICT (tenant_id, email) DO UPDATE SET id = excluded.id, role_id = excluded.role_id,
    token_hash = excluded.token_hash, invited_by = excluded.invited_by, created_at = excluded.created_at,
    expires_at = excluded.expires_at
"""


async def invite(
    tx: Tx, subject: Subject, vault: Vault, *, email: str, role_id: UUID, now: datetime
) -> IssuedInvitation:
    """Invite somebody for 7 days; the token is known only now, and an earlier one to the same address ends.

    Raises:
        EmailInvalid: Not an address.
        AlreadyMember: They are a member.
        RoleNotFound: No such role.
        PermissionEscalation: The role has permissions that the subject lacks.
    """
    address = normalise_email(email)
    role = await roles.get_role(tx, role_id)
    roles.check_within(subject, role.mask)
    if await repository.email_is_member(tx, address):
        raise AlreadyMember
    token = new_token(TokenKind.INVITATION, tx.tenant)
    await tx.execute(
        _INSERT,
        {
            "tenant": tx.tenant,
            "id": token.id,
            "email": address,
            "role": role_id,
            "hash": token.digest(vault),
            "invited_by": subject.id if subject.kind is SubjectKind.USER else None,
            "now": now,
            "expires_at": now + LIFETIME,
        },
    )
    await outbox.append(tx, UserInvited(invitation_id=token.id, role_id=role_id))
    await audit.record(tx, subject, "user.invited", token.id, {"email": address, "role": role.name})
    return IssuedInvitation(await _get(tx, token.id), token.text)


async def list_invitations(tx: Tx, page: PageRequest) -> Page[Invitation]:
    """Open invitations, newest first; expired ones until they are purged.

    Raises:
        BadCursor: The cursor is not one of ours.
    """
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    rows = await tx.all(
        f"{_SELECT} AND (CAST(:before AS uuid) IS NULL OR i.id < CAST(:before AS uuid)) "
        "ORDER BY i.id DESC LIMIT :limit",
        {"tenant": tx.tenant, "before": before, "limit": page.limit + 1},
    )
    found = [_invitation(row) for row in rows]
    more = len(found) > page.limit
    return Page(found[: page.limit], encode_cursor(str(found[page.limit - 1].id)) if more else None)


async def withdraw(tx: Tx, subject: Subject, invitation_id: UUID) -> None:
    """End an invitation.

    Raises:
        InvitationNotFound: No such open invitation.
        PermissionEscalation: Its role has permissions that the subject lacks.
    """
    invitation = await _get(tx, invitation_id)
    roles.check_within(subject, invitation.role_mask)
    if not await consume(tx, invitation_id):
        raise InvitationNotFound(invitation_id=str(invitation_id))
    await audit.record(tx, subject, "invitation.withdrawn", invitation_id, {"email": invitation.email})


def read_invitation_token(text: str) -> Token:
    """The token of a link.

    Raises:
        InvitationInvalid: Not of that form.
    """
    token = parse_token(text, TokenKind.INVITATION)
    if token is None:
        raise InvitationInvalid(place="token")
    return token


async def open_invitation(tx: Tx, vault: Vault, token: Token, now: datetime) -> Invitation:
    """The invitation of a token, in a transaction of the token's tenant.

    Raises:
        InvitationInvalid: Unknown, used, withdrawn, or too old.
    """
    row = await _row(tx, token.id)
    if (
        row is None
        or row["expires_at"] <= now
        or not hmac.compare_digest(bytes(row["token_hash"]), token.digest(vault))
    ):
        raise InvitationInvalid(place="token")
    return _invitation(row)


async def consume(tx: Tx, invitation_id: UUID) -> bool:
    """Use an invitation up; False if somebody else just did."""
    result = await tx.execute(
        "DELETE FROM identity.invitation WHERE tenant_id = :tenant AND id = :id",
        {"tenant": tx.tenant, "id": invitation_id},
    )
    return bool(result.rowcount)


async def purge_invitations(resources: Resources) -> int:
    """Remove expired invitations of all tenants; returns how many."""
    async with resources.database.across_tenants() as tx:
        result = await tx.execute(
            "DELETE FROM identity.invitation WHERE expires_at < :before",
            {"before": resources.clock.now() - LIFETIME},
        )
        return result.rowcount


async def _get(tx: Tx, invitation_id: UUID) -> Invitation:
    row = await _row(tx, invitation_id)
    if row is None:
        raise InvitationNotFound(invitation_id=str(invitation_id))
    return _invitation(row)


async def _row(tx: Tx, invitation_id: UUID) -> RowMapping | None:
    return await tx.first(f"{_SELECT} AND i.id = :id", {"tenant": tx.tenant, "id": invitation_id})


def _invitation(row: RowMapping) -> Invitation:
    values: dict[str, Any] = {
        name: row[name] for name in ("id", "email", "role_id", "role_name", "invited_by", "created_at", "expires_at")
    }
    return Invitation(**values, role_mask=roles.effective_mask(row["builtin"], int(row["permissions"])))
