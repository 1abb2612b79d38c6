"""`/api-keys`."""

from typing import Annotated
from uuid import UUID

from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .schemas import ApiKeyChange, ApiKeyIn, ApiKeyIssued, ApiKeyOut

router = make_router("/api-keys", "api-keys")
_Reader = Annotated[Context, allow(Permission.API_KEYS_READ)]
_Writer = Annotated[Context, allow(Permission.API_KEYS_WRITE)]


@router.get("", status_code=200, summary="List API keys")
async def list_api_keys(context: _Reader, page: PageQuery) -> PageOut[ApiKeyOut]:
    """Newest first; revoked and expired ones too."""
    found = await api.list_keys(context.tx, page)
    return PageOut(items=[ApiKeyOut.of(key) for key in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, summary="Make an API key")
async def create_api_key(context: _Writer, body: ApiKeyIn) -> ApiKeyIssued:
    """The answer is the only place where its text is ever shown."""
    issued = await api.create_key(
        context.tx,
        context.subject,
        context.resources.vault,
        name=body.name,
        mask=api.read_permissions(body.permissions, "body.permissions"),
        now=context.resources.clock.now(),
        expires_at=body.expires_at,
    )
    return ApiKeyIssued.issued(issued)


@router.get("/{api_key_id}", status_code=200, summary="Read an API key")
async def get_api_key(context: _Reader, api_key_id: UUID) -> ApiKeyOut:
    """Without its secret."""
    return ApiKeyOut.of(await api.get_key(context.tx, api_key_id))


@router.patch("/{api_key_id}", status_code=200, summary="Rename an API key")
async def rename_api_key(context: _Writer, api_key_id: UUID, body: ApiKeyChange) -> ApiKeyOut:
    """Permissions and expiry of a key never change: make another."""
    return ApiKeyOut.of(await api.rename_key(context.tx, context.subject, api_key_id, body.name))


@router.delete("/{api_key_id}", status_code=204, summary="Revoke an API key")
async def revoke_api_key(context: _Writer, api_key_id: UUID) -> None:
    """Within 5 seconds; it stays in the list."""
    await api.revoke_key(context.tx, context.subject, api_key_id, context.resources.clock.now())
