"""HTTP of single contacts."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from carillon.audience.contacts import api
from carillon.audience.contacts.contracts import ContactFilter
from carillon.audience.contacts.schemas import (
    ContactIn,
    ContactOut,
    ContactPatch,
    EventOut,
    Line,
    Moment,
    Platform,
    Tag,
)
from carillon.events.history import list_events
from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router
from carillon.kernel.permissions import Permission

Reader = Annotated[Context, allow(Permission.CONTACTS_READ)]
Writer = Annotated[Context, allow(Permission.CONTACTS_WRITE)]
Eraser = Annotated[Context, allow(Permission.CONTACTS_ERASE)]
Exporter = Annotated[Context, allow(Permission.CONTACTS_EXPORT)]

routes = router("/contacts", "contacts")


@routes.get("", summary="Contacts, newest first; with updated_since in the order of change")
async def list_contacts(
    context: Reader,
    page: PageQuery,
    query: Annotated[Line | None, Query(description="Part of a name, or the beginning of an address")] = None,
    tag: Annotated[Tag | None, Query()] = None,
    platform: Annotated[Platform | None, Query(description="Has an address on this network")] = None,
    opted_out: Annotated[bool | None, Query()] = None,
    updated_since: Annotated[Moment | None, Query()] = None,
) -> PageOut[ContactOut]:
    """Merged and erased contacts are left out."""
    wanted = ContactFilter(tag=tag, platform=platform, opted_out=opted_out, updated_since=updated_since, query=query)
    found = await api.list_contacts(context.tx, wanted, page)
    items = [ContactOut.model_validate(contact) for contact in found.items]
    return PageOut(items=items, next_cursor=found.next_cursor)


@routes.post("", status_code=201, summary="Make a contact")
async def create_contact(context: Writer, body: ContactIn) -> ContactOut:
    """409 with the owner's id if an address belongs to somebody."""
    details = api.check_details(body.values(), await api.all_fields(context.tx))
    return ContactOut.model_validate(await api.create(context.tx, details, vault=context.resources.vault))


@routes.get("/{contact_id}", summary="One contact")
async def get_contact(context: Reader, contact_id: UUID) -> ContactOut:
    """Also one that was merged or erased; it says so."""
    return ContactOut.model_validate(await api.get(context.tx, contact_id))


@routes.patch("/{contact_id}", summary="Change a contact")
async def update_contact(context: Writer, contact_id: UUID, body: ContactPatch) -> ContactOut:
    """Only what is sent changes."""
    details = api.check_details(body.values(), await api.all_fields(context.tx))
    changed = await api.update(context.tx, contact_id, details, vault=context.resources.vault)
    return ContactOut.model_validate(changed)


@routes.delete("/{contact_id}", summary="Erase a person for good")
async def erase_contact(
    context: Eraser, contact_id: UUID, confirm: Annotated[UUID, Query(description="The contact's id again")]
) -> ContactOut:
    """Everything that identifies the person goes, in every part of the product; this cannot be undone."""
    erased = await api.erase_person(
        context.tx, context.subject, contact_id, confirm=confirm, vault=context.resources.vault
    )
    return ContactOut.model_validate(erased)


@routes.get("/{contact_id}/timeline", summary="What happened to a contact, newest first")
async def list_contact_timeline(context: Reader, contact_id: UUID, page: PageQuery) -> PageOut[EventOut]:
    """From the event store, as far back as it is kept."""
    await api.get(context.tx, contact_id)
    found = await list_events(context.tx, page, subject_id=contact_id)
    return PageOut(items=[EventOut.of(recorded) for recorded in found.items], next_cursor=found.next_cursor)


@routes.get("/{contact_id}/data", summary="Everything held about a person")
async def export_contact_data(context: Exporter, contact_id: UUID) -> dict[str, object]:
    """For a person who asks what is known about them; the request is audited."""
    return await api.export_person(context.tx, context.subject, contact_id)
