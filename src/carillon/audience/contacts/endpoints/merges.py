"""HTTP of merges."""

from typing import Annotated
from uuid import UUID

from carillon.audience.contacts import api
from carillon.audience.contacts.schemas import MergeIn, MergeOut
from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router
from carillon.kernel.permissions import Permission

Reader = Annotated[Context, allow(Permission.CONTACTS_READ)]
Writer = Annotated[Context, allow(Permission.CONTACTS_WRITE)]

routes = router("/contact-merges", "contacts")


@routes.post("", status_code=201, summary="Merge two contacts that are one person")
async def merge_contacts(context: Writer, body: MergeIn) -> MergeOut:
    """An opt-out of either opts out the result."""
    merged = await api.merge(context.tx, context.subject, winner_id=body.winner_id, loser_id=body.loser_id)
    return MergeOut.model_validate(merged)


@routes.get("", summary="Merges, newest first")
async def list_contact_merges(context: Reader, page: PageQuery) -> PageOut[MergeOut]:
    """Also those that were undone."""
    found = await api.list_merges(context.tx, page)
    return PageOut(items=[MergeOut.model_validate(one) for one in found.items], next_cursor=found.next_cursor)


@routes.post("/{merge_id}/undo", summary="Undo a merge")
async def unmerge_contacts(context: Writer, merge_id: UUID) -> MergeOut:
    """What was changed since stays; an opt-out that came after counts for both."""
    undone = await api.unmerge(context.tx, context.subject, merge_id, vault=context.resources.vault)
    return MergeOut.model_validate(undone)
