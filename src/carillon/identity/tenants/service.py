"""The rules of tenants."""

import re
import unicodedata
from dataclasses import fields
from datetime import UTC, datetime
from uuid import UUID

from carillon.events import outbox
from carillon.events.catalog.identity import TenantCreated, TenantResumed, TenantSuspended
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.identity.places import is_language, is_region, is_time_zone
from carillon.identity.roles import api as roles
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject, system_subject
from carillon.storage.database import Database, Tx

from . import repository
from .contracts import Tenant
from .errors import LanguageInvalid, RegionUnknown, SlugInvalid, SlugTaken, TenantNotFound, TimeZoneUnknown

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])")
# They could pass for addresses of the product itself.
_RESERVED = frozenset({"admin", "api", "app", "auth", "docs", "healthz", "login", "metrics", "m", "readyz", "static"})


def make_slug(name: str) -> str:
    """A slug like the name; `tenant-…` with random letters when nothing of it can be used."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", folded).strip("-")[:63].strip("-")
    return slug if _SLUG.fullmatch(slug) and slug not in _RESERVED else f"tenant-{uuid7().hex[-8:]}"


async def create_tenant(
    database: Database,
    *,
    name: str,
    slug: str | None = None,
    time_zone: str = "UTC",
    language: str = "en",
    region: str | None = None,
) -> Tenant:
    """Make a tenant with the built-in roles, in a transaction of its own.

    Args:
        database: Of either role.
        name: For people.
        slug: Made from the name when left out.
        time_zone: IANA name.
        language: BCP 47 tag.
        region: Country code for phone numbers.

    Raises:
        SlugInvalid, TimeZoneUnknown, LanguageInvalid, RegionUnknown: A value is not of its kind.
        SlugTaken: Another tenant has the slug.
    """
    tenant_id = uuid7()
    async with database.transaction(tenant_id) as tx:
        return await create_tenant_in(tx, name=name, slug=slug, time_zone=time_zone, language=language, region=region)


async def create_tenant_in(
    tx: Tx, *, name: str, slug: str | None, time_zone: str, language: str, region: str | None
) -> Tenant:
    """The same in a transaction that has already entered the new tenant's id."""
    chosen = slug if slug is not None else make_slug(name)
    if not _SLUG.fullmatch(chosen) or chosen in _RESERVED:
        raise SlugInvalid(place="slug", slug=chosen)
    check_settings(time_zone, language, region)
    values = {
        "id": tx.tenant,
        "name": name,
        "slug": chosen,
        "time_zone": time_zone,
        "language": language,
        "region": region,
    }
    if not await repository.insert(tx, values):
        raise SlugTaken(place="slug", slug=chosen)
    await roles.ensure_builtin(tx)
    await outbox.append(tx, TenantCreated(tenant_id=tx.tenant, name=name, slug=chosen))
    await audit.record(tx, system_subject(tx.tenant), "tenant.created", tx.tenant, {"name": name, "slug": chosen})
    return await get_tenant(tx)


def check_settings(time_zone: str, language: str, region: str | None) -> None:
    """Refuse settings that are not of their kind.

    Raises:
        TimeZoneUnknown, LanguageInvalid, RegionUnknown: As named.
    """
    if not is_time_zone(time_zone):
        raise TimeZoneUnknown(place="time_zone", time_zone=time_zone)
    if not is_language(language):
        raise LanguageInvalid(place="language", language=language)
    if region is not None and not is_region(region):
        raise RegionUnknown(place="region", region=region)


async def get_tenant(tx: Tx) -> Tenant:
    """The transaction's tenant.

    Raises:
        TenantNotFound: There is none of that id.
    """
    found = await repository.find(tx)
    if found is None:
        raise TenantNotFound
    return found


async def update_tenant(
    tx: Tx, subject: Subject, *, name: str, time_zone: str, language: str, region: str | None
) -> Tenant:
    """Store all settings; the slug stays for ever.

    Raises:
        TimeZoneUnknown, LanguageInvalid, RegionUnknown: A value is not of its kind.
    """
    before = await get_tenant(tx)
    check_settings(time_zone, language, region)
    await repository.update(tx, name=name, time_zone=time_zone, language=language, region=region, now=datetime.now(UTC))
    after = await get_tenant(tx)
    changed = {
        item.name: [getattr(before, item.name), getattr(after, item.name)]
        for item in fields(Tenant)
        if item.name != "updated_at" and getattr(before, item.name) != getattr(after, item.name)
    }
    if changed:
        await audit.record(tx, subject, "tenant.changed", tx.tenant, changed)
    return after


async def suspend_tenant(tx: Tx, subject: Subject) -> Tenant:
    """From within 5 seconds on nobody of the tenant can do anything, by session or key; safe to repeat."""
    return await _set_suspended(tx, subject, suspended=True)


async def resume_tenant(tx: Tx, subject: Subject) -> Tenant:
    """Lift the suspension; safe to repeat."""
    return await _set_suspended(tx, subject, suspended=False)


async def _set_suspended(tx: Tx, subject: Subject, *, suspended: bool) -> Tenant:
    before = await get_tenant(tx)
    if (before.suspended_at is not None) == suspended:
        return before
    now = datetime.now(UTC)
    await repository.set_suspended(tx, now if suspended else None, now)
    event = TenantSuspended(tenant_id=tx.tenant) if suspended else TenantResumed(tenant_id=tx.tenant)
    await outbox.append(tx, event)
    await audit.record(tx, subject, event.type, tx.tenant)
    return await get_tenant(tx)


async def list_tenants(tx: Tx, page: PageRequest) -> Page[Tenant]:
    """All tenants in a worker's transaction across them, oldest first; only its own in any other.

    Raises:
        BadCursor: The cursor is not one of ours.
    """
    after = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    found = await repository.read_all(tx, after, page.limit + 1)
    more = len(found) > page.limit
    return Page(found[: page.limit], encode_cursor(str(found[page.limit - 1].id)) if more else None)


async def find_tenant(tx: Tx, slug: str) -> Tenant:
    """A tenant by its slug, in a worker's transaction across tenants.

    Raises:
        TenantNotFound: There is none.
    """
    found = await repository.find_slug(tx, slug)
    if found is None:
        raise TenantNotFound(slug=slug)
    return found
