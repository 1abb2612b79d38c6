"""`/tenant`: one's own."""

from typing import Annotated

from carillon.gateway.context import Context, allow
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .schemas import TenantOut, TenantSettings

router = make_router("/tenant", "tenant")


@router.get("", status_code=200, summary="Read the tenant's settings")
async def get_tenant(context: Annotated[Context, allow(Permission.TENANT_READ)]) -> TenantOut:
    """The tenant of the session or key."""
    return TenantOut.of(await api.get_tenant(context.tx))


@router.put("", status_code=200, summary="Change the tenant's settings")
async def update_tenant(context: Annotated[Context, allow(Permission.TENANT_WRITE)], body: TenantSettings) -> TenantOut:
    """Replaces all of them; the slug cannot be changed."""
    tenant = await api.update_tenant(
        context.tx,
        context.subject,
        name=body.name,
        time_zone=body.time_zone,
        language=body.language,
        region=body.region,
    )
    return TenantOut.of(tenant)
