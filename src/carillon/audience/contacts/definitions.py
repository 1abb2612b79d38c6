"""The tenant's custom fields."""

from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.dialects.postgresql import insert

from carillon.kernel.errors import Conflict
from carillon.kernel.ids import uuid7
from carillon.storage.database import Tx

from .contracts import FieldDefinition, FieldType
from .errors import FieldExists, FieldNotFound
from .fields import MOST_FIELDS, check_definition
from .models import field

_COLUMNS = [column for column in field.c if column.name != "tenant_id"]


class TooManyFields(Conflict):
    """The tenant has as many custom fields as there may be."""

    code = "too_many_fields"


async def all_fields(tx: Tx) -> dict[str, FieldDefinition]:
    """The custom fields by key, oldest first."""
    rows = await tx.all(select(*_COLUMNS).where(field.c.tenant_id == tx.tenant).order_by(field.c.id))
    return {row["key"]: _to_definition(row) for row in rows}


async def define_field(
    tx: Tx, *, key: str, label: str, kind: FieldType, choices: tuple[str, ...] = ()
) -> FieldDefinition:
    """A new custom field.

    Raises:
        FieldInvalid: Key, label or choices will not do.
        FieldExists: The key is taken.
        TooManyFields: There are 200 already.
    """
    label, choices = check_definition(key, label, kind, choices)
    count = await tx.scalar("SELECT count(*) FROM audience.field WHERE tenant_id = :tenant", {"tenant": tx.tenant})
    if count >= MOST_FIELDS:
        raise TooManyFields
    values = {"id": uuid7(), "key": key, "label": label, "type": kind.value, "choices": list(choices)}
    statement = insert(field).values(tenant_id=tx.tenant, **values).on_conflict_do_nothing().returning(*_COLUMNS)
    row = await tx.first(statement)
    if row is None:
        raise FieldExists(place="key")
    return _to_definition(row)


async def change_field(
    tx: Tx, field_id: UUID, *, label: str | None = None, choices: tuple[str, ...] | None = None
) -> FieldDefinition:
    """Another label, or other choices; values of contacts stay as they are, also those no longer offered.

    Raises:
        FieldNotFound, FieldInvalid: There is no such field, or the new values will not do.
    """
    row = await tx.first(select(*_COLUMNS).where(field.c.tenant_id == tx.tenant, field.c.id == field_id))
    if row is None:
        raise FieldNotFound
    before = _to_definition(row)
    new_label, new_choices = check_definition(
        before.key,
        before.label if label is None else label,
        before.type,
        before.choices if choices is None else choices,
    )
    changed = await tx.first(
        field.update()
        .where(field.c.tenant_id == tx.tenant, field.c.id == field_id)
        .values(label=new_label, choices=list(new_choices))
        .returning(*_COLUMNS)
    )
    if changed is None:
        raise FieldNotFound
    return _to_definition(changed)


async def drop_field(tx: Tx, field_id: UUID) -> None:
    """Remove a field and its values from all contacts.

    Raises:
        FieldNotFound: There is no such field.
    """
    key = await tx.scalar(
        field.delete().where(field.c.tenant_id == tx.tenant, field.c.id == field_id).returning(field.c.key)
    )
    if key is None:
        raise FieldNotFound
    await tx.execute(
        "UPDATE audience.contact SET fields = fields - CAST(:key AS text), updated_at = now() "
        "WHERE tenant_id = :tenant AND fields ? CAST(:key AS text)",
        {"tenant": tx.tenant, "key": key},
    )


def _to_definition(row: RowMapping) -> FieldDefinition:
    return FieldDefinition(**{**row, "type": FieldType(row["type"]), "choices": tuple(row["choices"])})
