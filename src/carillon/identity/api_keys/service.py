"""The rules of API keys."""

import hmac
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.events import outbox
from carillon.events.catalog.identity import ApiKeyCreated, ApiKeyRevoked
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.identity.errors import InvalidCredentials, KeyExpired, KeyRevoked, TenantSuspended
from carillon.identity.roles import api as roles
from carillon.identity.tokens import Token, TokenKind, new_token
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.permissions import list_permissions
from carillon.kernel.subject import Subject, SubjectKind
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .contracts import ApiKey, IssuedKey
from .errors import ApiKeyNotFound, ExpiryPast

USE_NOTED_EVERY: Final = timedelta(minutes=1)


async def create_key(
    tx: Tx,
    subject: Subject,
    vault: Vault,
    *,
    name: str,
    mask: int,
    now: datetime,
    expires_at: datetime | None = None,
) -> IssuedKey:
    """Make a key; its text is known only now.

    A key acts for its maker: with those of its permissions that the maker still has, and not at all once the
    maker is suspended or gone. A key made with a key belongs to the same maker.

    Raises:
        PermissionEscalation: It would have permissions that the subject lacks.
        ExpiryPast: It would have expired already.
    """
    roles.check_within(subject, mask)
    if expires_at is not None and expires_at <= now:
        raise ExpiryPast(place="expires_at")
    token = new_token(TokenKind.API_KEY, tx.tenant)
    maker = await _maker(tx, subject)
    key = ApiKey(token.id, name, mask, maker, now, expires_at, last_used_at=None, revoked_at=None)
    await repository.insert(tx, key, token.digest(vault))
    await outbox.append(tx, ApiKeyCreated(api_key_id=key.id))
    permissions = [permission.wire for permission in list_permissions(mask)]
    details = {"name": name, "permissions": permissions, "expires_at": expires_at}
    await audit.record(tx, subject, "api_key.created", key.id, details)
    return IssuedKey(key, token.text)


async def get_key(tx: Tx, key_id: UUID) -> ApiKey:
    """One key.

    Raises:
        ApiKeyNotFound: There is none.
    """
    found = await repository.find(tx, key_id)
    if found is None:
        raise ApiKeyNotFound(api_key_id=str(key_id))
    return found


async def list_keys(tx: Tx, page: PageRequest) -> Page[ApiKey]:
    """All keys, also revoked and expired ones, newest first.

    Raises:
        BadCursor: The cursor is not one of ours.
    """
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    found = await repository.read_page(tx, before, page.limit + 1)
    more = len(found) > page.limit
    return Page(found[: page.limit], encode_cursor(str(found[page.limit - 1].id)) if more else None)


async def rename_key(tx: Tx, subject: Subject, key_id: UUID, name: str) -> ApiKey:
    """Give a key another name.

    Raises:
        ApiKeyNotFound: There is none.
    """
    before = await get_key(tx, key_id)
    if before.name != name:
        await repository.rename(tx, key_id, name)
        await audit.record(tx, subject, "api_key.renamed", key_id, {"from": before.name, "to": name})
    return await get_key(tx, key_id)


async def revoke_key(tx: Tx, subject: Subject, key_id: UUID, now: datetime) -> None:
    """End a key within 5 seconds; safe to repeat.

    Whoever may write keys may revoke any, also a mightier one: the first to see a leak should end it.

    Raises:
        ApiKeyNotFound: There is none.
    """
    key = await get_key(tx, key_id)
    if await repository.revoke(tx, key_id, now):
        await outbox.append(tx, ApiKeyRevoked(api_key_id=key_id))
        await audit.record(tx, subject, "api_key.revoked", key_id, {"name": key.name})


async def authenticate_key(tx: Tx, token: Token, vault: Vault, now: datetime) -> Subject:
    """Who shows this key: one query, which also notes the use (to the minute).

    Raises:
        InvalidCredentials, KeyRevoked, KeyExpired, TenantSuspended: It does not work.
    """
    digest = token.digest(vault)
    row = await repository.use(tx, token.id, digest, now, now - USE_NOTED_EVERY)
    if row is None or not hmac.compare_digest(bytes(row["token_hash"]), digest):
        raise InvalidCredentials
    return _subject(tx, token.id, row, now)


async def review_key(tx: Tx, key_id: UUID, now: datetime) -> Subject:
    """The key's present permissions, without counting as use.

    Raises:
        InvalidCredentials, KeyRevoked, KeyExpired, TenantSuspended: It does not work any more.
    """
    row = await repository.identify(tx, key_id)
    if row is None:
        raise InvalidCredentials
    return _subject(tx, key_id, row, now)


def _subject(tx: Tx, key_id: UUID, row: RowMapping, now: datetime) -> Subject:
    maker_is_gone = row["created_by"] is not None and row["state"] != "active"
    if row["revoked_at"] is not None or maker_is_gone:
        raise KeyRevoked
    if row["expires_at"] is not None and row["expires_at"] <= now:
        raise KeyExpired
    if row["suspended_at"] is not None:
        raise TenantSuspended
    mask = roles.effective_mask(None, int(row["permissions"]))
    if row["created_by"] is not None:
        mask &= roles.effective_mask(row["maker_builtin"], int(row["maker_permissions"]))
    return Subject(tx.tenant, SubjectKind.API_KEY, key_id, mask, key_id)


async def _maker(tx: Tx, subject: Subject) -> UUID | None:
    if subject.kind is SubjectKind.API_KEY and subject.id is not None:
        return (await get_key(tx, subject.id)).created_by
    return subject.id if subject.kind is SubjectKind.USER else None
