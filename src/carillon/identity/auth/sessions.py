"""Sessions: a cookie's value stands for a person in one tenant, until it idles, ages or is ended."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.errors import AccountSuspended, SessionExpired, TenantSuspended
from carillon.identity.roles import api as roles
from carillon.identity.tokens import Token, TokenKind, new_token
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject, SubjectKind
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from carillon.storage.vault import Vault

from .contracts import Client, OpenedSession, Session
from .errors import SessionNotFound

IDLE: Final = timedelta(days=3)
ABSOLUTE: Final = timedelta(days=30)
SEEN_NOTED_EVERY: Final = timedelta(minutes=1)

_IDENTIFY = """
SELECT s.user_id, s.token_hash, s.last_seen_at, s.expires_at, s.credential_version = m.credential_version AS current,
       m.state, m.builtin, m.permissions, m.suspended_at
FROM identity.session s
JOIN identity.member m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
WHERE s.tenant_id = :tenant AND s.id = :id
"""
# Use is noted in the same statement, at most once a minute, and only for the right secret and a living session.
_USE = f"""
WITH seen AS (
    UPDATE identity.session SET last_seen_at = :now
    WHERE tenant_id = :tenant AND id = :id AND token_hash = :hash
      AND last_seen_at > :idle AND last_seen_at < :coarse AND expires_at > :now
)
{_IDENTIFY}
"""  # noqa: S608 - constants
_LIST = """
SELECT s.id, s.address, s.user_agent, s.created_at, s.last_seen_at, s.expires_at
FROM identity.session s JOIN identity."user" u ON u.id = s.user_id AND u.credential_version = s.credential_version
WHERE s.tenant_id = :tenant AND s.user_id = :user AND s.expires_at > :now AND s.last_seen_at > :idle
  AND (CAST(:before AS uuid) IS NULL OR s.id < CAST(:before AS uuid))
ORDER BY s.id DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A good credential.

    Attributes:
        subject: Who acts.
        until: When it ends by itself.
    """

    subject: Subject
    until: datetime


async def open_session(
    tx: Tx, vault: Vault, user_id: UUID, *, version: int, client: Client, now: datetime
) -> OpenedSession:
    """A new session of a member; `version` is the one their credentials have now."""
    token = new_token(TokenKind.SESSION, tx.tenant)
    session = Session(token.id, client.address, client.user_agent, now, now, now + ABSOLUTE)
    await tx.execute(
        "INSERT INTO identity.session (tenant_id, id, user_id, token_hash, credential_version, address, user_agent, "
        "created_at, last_seen_at, expires_at) "
        "VALUES (:tenant, :id, :user, :hash, :version, :address, :user_agent, :now, :now, :expires_at)",
        {
            "tenant": tx.tenant,
            "id": token.id,
            "user": user_id,
            "hash": token.digest(vault),
            "version": version,
            "address": client.address,
            "user_agent": client.user_agent,
            "now": now,
            "expires_at": session.expires_at,
        },
    )
    return OpenedSession(tx.tenant, user_id, session, token.text)


async def authenticate_session(tx: Tx, token: Token, vault: Vault, now: datetime) -> Standing:
    """Who shows this cookie: one query, which also notes the use (to the minute).

    Raises:
        SessionExpired, AccountSuspended, TenantSuspended: It does not work.
    """
    digest = token.digest(vault)
    params = {"tenant": tx.tenant, "id": token.id, "hash": digest, "now": now}
    row = await tx.first(_USE, {**params, "idle": now - IDLE, "coarse": now - SEEN_NOTED_EVERY})
    if row is None or not hmac.compare_digest(bytes(row["token_hash"]), digest):
        raise SessionExpired
    return _standing(tx, token.id, row, now)


async def review_session(tx: Tx, session_id: UUID, now: datetime) -> Standing:
    """The session's present standing, without counting as use.

    Raises:
        SessionExpired, AccountSuspended, TenantSuspended: It does not work any more.
    """
    row = await tx.first(_IDENTIFY, {"tenant": tx.tenant, "id": session_id})
    if row is None:
        raise SessionExpired
    return _standing(tx, session_id, row, now)


def _standing(tx: Tx, session_id: UUID, row: RowMapping, now: datetime) -> Standing:
    until = min(row["expires_at"], row["last_seen_at"] + IDLE)
    if until <= now or not row["current"]:
        raise SessionExpired
    if row["suspended_at"] is not None:
        raise TenantSuspended
    if row["state"] != "active":
        raise AccountSuspended
    mask = roles.effective_mask(row["builtin"], int(row["permissions"]))
    return Standing(Subject(tx.tenant, SubjectKind.USER, row["user_id"], mask, session_id), until)


async def list_sessions(tx: Tx, user_id: UUID, page: PageRequest, now: datetime) -> Page[Session]:
    """A person's living sessions in this tenant, newest first.

    Raises:
        BadCursor: The cursor is not one of ours.
    """
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    params = {"tenant": tx.tenant, "user": user_id, "now": now, "idle": now - IDLE, "before": before}
    found = [Session(**row) for row in await tx.all(_LIST, {**params, "limit": page.limit + 1})]
    more = len(found) > page.limit
    return Page(found[: page.limit], encode_cursor(str(found[page.limit - 1].id)) if more else None)


async def end_session(tx: Tx, user_id: UUID, session_id: UUID) -> None:
    """End one of a person's sessions here, within 5 seconds.

    Raises:
        SessionNotFound: They have none of that id.
    """
    result = await tx.execute(
        "DELETE FROM identity.session WHERE tenant_id = :tenant AND user_id = :user AND id = :id",
        {"tenant": tx.tenant, "user": user_id, "id": session_id},
    )
    if not result.rowcount:
        raise SessionNotFound(session_id=str(session_id))


async def keep_only(tx: Tx, user_id: UUID, session_id: UUID | None) -> None:
    """After the person's version went up: carry one session over, and remove the others here.

    Those in other tenants are worthless already, and purged when they would have ended.
    """
    params = {"tenant": tx.tenant, "user": user_id, "id": session_id}
    await tx.execute(
        'UPDATE identity.session s SET credential_version = u.credential_version FROM identity."user" u '
        "WHERE s.tenant_id = :tenant AND s.id = CAST(:id AS uuid) AND u.id = s.user_id AND s.user_id = :user",
        params,
    )
    await tx.execute(
        "DELETE FROM identity.session WHERE tenant_id = :tenant AND user_id = :user "
        "AND id IS DISTINCT FROM CAST(:id AS uuid)",
        params,
    )


async def purge(resources: Resources) -> int:
    """Remove ended sessions of all tenants; returns how many."""
    now = resources.clock.now()
    async with resources.database.across_tenants() as tx:
        result = await tx.execute(
            "DELETE FROM identity.session WHERE expires_at < :now OR last_seen_at < :idle",
            {"now": now, "idle": now - IDLE},
        )
        return result.rowcount
