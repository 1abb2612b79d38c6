"""The door of tenants.

Duties: make a tenant (command line and first start only), its settings, suspend and resume it, find it by slug.
It must not be offered over HTTP beyond a tenant's own settings: who may make tenants is the operator's business.
"""

from .service import (
    check_settings,
    create_tenant,
    create_tenant_in,
    find_tenant,
    get_tenant,
    list_tenants,
    make_slug,
    resume_tenant,
    suspend_tenant,
    update_tenant,
)

__all__ = [
    "check_settings",
    "create_tenant",
    "create_tenant_in",
    "find_tenant",
    "get_tenant",
    "list_tenants",
    "make_slug",
    "resume_tenant",
    "suspend_tenant",
    "update_tenant",
]
