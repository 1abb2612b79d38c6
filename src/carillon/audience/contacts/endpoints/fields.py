"""HTTP of custom fields."""

from typing import Annotated
from uuid import UUID

from carillon.audience.contacts import api
from carillon.audience.contacts.schemas import FieldIn, FieldOut, FieldPatch
from carillon.gateway.context import Context, allow
from carillon.gateway.routing import router
from carillon.kernel.permissions import Permission

Reader = Annotated[Context, allow(Permission.CONTACTS_READ)]
Writer = Annotated[Context, allow(Permission.CONTACTS_WRITE)]

routes = router("/contact-fields", "contacts")


@routes.get("", summary="Custom fields, oldest first")
async def list_contact_fields(context: Reader) -> list[FieldOut]:
    """At most 200."""
    return [FieldOut.model_validate(field) for field in (await api.all_fields(context.tx)).values()]


@routes.post("", status_code=201, summary="Define a custom field")
async def create_contact_field(context: Writer, body: FieldIn) -> FieldOut:
    """Key and type stay for ever; label and choices can change."""
    made = await api.define_field(
        context.tx, key=body.key, label=body.label, kind=body.type, choices=tuple(body.choices)
    )
    return FieldOut.model_validate(made)


@routes.patch("/{field_id}", summary="Change a custom field")
async def update_contact_field(context: Writer, field_id: UUID, body: FieldPatch) -> FieldOut:
    """Values that contacts have stay, also those no longer offered."""
    choices = None if body.choices is None else tuple(body.choices)
    changed = await api.change_field(context.tx, field_id, label=body.label, choices=choices)
    return FieldOut.model_validate(changed)


@routes.delete("/{field_id}", status_code=204, summary="Remove a custom field and its values")
async def delete_contact_field(context: Writer, field_id: UUID) -> None:
    """From all contacts at once."""
    await api.drop_field(context.tx, field_id)
