"""`/audit`."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime

from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .contracts import AuditFilter
from .schemas import AuditEntryOut, VerificationOut, VerifyIn

router = make_router("/audit", "audit")
_Reader = Annotated[Context, allow(Permission.AUDIT_READ)]


@router.get("", status_code=200, summary="List who did what")
async def list_audit_entries(
    context: _Reader,
    page: PageQuery,
    *,
    actor_id: UUID | None = None,
    action: Annotated[str | None, Query(max_length=100, description="Whole, or a beginning like `user.`")] = None,
    target: Annotated[str | None, Query(max_length=200)] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> PageOut[AuditEntryOut]:
    """Newest first."""
    wanted = AuditFilter(actor_id=actor_id, action=action, target=target, since=since, until=until)
    found = await api.list_entries(context.tx, page, wanted)
    return PageOut(items=[AuditEntryOut.of(entry) for entry in found.items], next_cursor=found.next_cursor)


@router.post("/verify", status_code=200, summary="Verify the chain of the audit log")
async def verify_audit_log(context: _Reader, body: VerifyIn) -> VerificationOut:
    """Reads every entry of the tenant; a broken chain is an answer, not an error."""
    anchor = body.anchor.anchor() if body.anchor else None
    return VerificationOut.of(await api.verify(context.tx, anchor))
