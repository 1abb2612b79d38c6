"""The first start of an installation: a tenant and an owner to begin with."""

from typing import Final

from carillon.identity.roles import api as roles
from carillon.identity.tenants import api as tenants
from carillon.identity.users import api as users
from carillon.identity.users.contracts import NewUser
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.kernel.subject import system_subject
from carillon.storage.resources import Resources

from . import passwords
from .contracts import FirstLogin

DEFAULT_EMAIL: Final = "owner@carillon.local"
_LOCK: Final = 726356


async def bootstrap(
    resources: Resources,
    *,
    tenant_name: str = "Default",
    slug: str = "default",
    email: str = DEFAULT_EMAIL,
    time_zone: str = "UTC",
    language: str = "en",
) -> FirstLogin | None:
    """Make the first tenant with an owner; None if there is a tenant already. Safe to run twice at once.

    Args:
        resources: Of a worker: only it may see whether there is any tenant.
        tenant_name: For people.
        slug: For addresses.
        email: The owner's; it need not receive mail.
        time_zone: The tenant's.
        language: The tenant's.

    Returns:
        The login, with its random password: print it once, it is stored nowhere.
    """
    async with resources.database.across_tenants() as tx:
        if (await tenants.list_tenants(tx, PageRequest(limit=1))).items:
            return None
    address = users.normalise_email(email)
    password = passwords.random_password()
    owner = NewUser(address, "Owner", await passwords.hash_password(password))
    async with resources.database.across_tenants() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(:lock)", {"lock": _LOCK})
        if (await tenants.list_tenants(tx, PageRequest(limit=1))).items:
            return None
        inside = await tx.enter(uuid7())
        tenant = await tenants.create_tenant_in(
            inside, name=tenant_name, slug=slug, time_zone=time_zone, language=language, region=None
        )
        role = await roles.builtin_role(inside, roles.OWNER)
        user_id = await users.add_user(inside, owner)
        await users.join(inside, system_subject(tenant.id), user_id, role.id)
    return FirstLogin(tenant.id, tenant.slug, address, password)


async def add_owner(resources: Resources, slug: str, email: str, name: str) -> FirstLogin:
    """For the command line: give a tenant an owner who has no account yet.

    Args:
        resources: Of a worker.
        slug: The tenant's.
        email: The owner's.
        name: The owner's.

    Raises:
        TenantNotFound: No tenant has this slug.
        EmailInvalid, EmailTaken: Not an address, or of somebody who has an account: invite them.
    """
    address = users.normalise_email(email)
    password = passwords.random_password()
    owner = NewUser(address, name, await passwords.hash_password(password))
    async with resources.database.across_tenants() as tx:
        tenant = await tenants.find_tenant(tx, slug)
        inside = await tx.enter(tenant.id)
        role = await roles.builtin_role(inside, roles.OWNER)
        user_id = await users.add_user(inside, owner)
        await users.join(inside, system_subject(tenant.id), user_id, role.id)
    return FirstLogin(tenant.id, tenant.slug, address, password)
