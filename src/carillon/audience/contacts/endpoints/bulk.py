"""HTTP of tags, for many contacts at once."""

from typing import Annotated
from uuid import UUID

from carillon.audience.contacts import api
from carillon.audience.contacts.schemas import BulkActionOut, BulkTagIn, TagOut
from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router
from carillon.kernel.permissions import Permission

Reader = Annotated[Context, allow(Permission.CONTACTS_READ)]
Writer = Annotated[Context, allow(Permission.CONTACTS_WRITE)]

routes = router("/contact-tags", "contacts")


@routes.get("", summary="Tags, the most used first")
async def list_contact_tags(context: Reader) -> list[TagOut]:
    """At most 1,000."""
    return [TagOut(tag=tag, count=count) for tag, count in await api.list_tags(context.tx)]


@routes.post("/actions", status_code=201, summary="Give a tag to many contacts, or take it from them")
async def tag_contacts(context: Writer, body: BulkTagIn) -> BulkActionOut:
    """Answers how many changed; the action can be undone."""
    chosen = api.select_ids(context.tx.tenant, body.contacts.filter())
    action = await api.tag_contacts(context.tx, context.subject, tag=body.tag, chosen=chosen, remove=body.remove)
    return BulkActionOut.model_validate(action)


@routes.get("/actions", summary="Bulk actions, newest first")
async def list_tag_actions(context: Reader, page: PageQuery) -> PageOut[BulkActionOut]:
    """With what can still be undone."""
    found = await api.list_bulk_actions(context.tx, page)
    items = [BulkActionOut.model_validate(action) for action in found.items]
    return PageOut(items=items, next_cursor=found.next_cursor)


@routes.post("/actions/{action_id}/undo", summary="Undo a bulk action")
async def undo_tag_action(context: Writer, action_id: UUID) -> BulkActionOut:
    """Only contacts that the action changed are changed back."""
    return BulkActionOut.model_validate(await api.undo_bulk_action(context.tx, action_id))
