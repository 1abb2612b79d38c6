"""Contacts as a CSV file: a job streams them into the file store."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from carillon.gateway.downloads import csv_pieces
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import Subject
from carillon.storage import jobs
from carillon.storage.blobs import blob_key
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import repository
from .contracts import AddressKind, Contact, ContactFilter, Export
from .definitions import all_fields
from .errors import ExportNotFound
from .models import contact_export

RUN = "export.run"
AREA = "exports"

_PAGE = 1_000
_HIDDEN = ("tenant_id", "blob_key", "created_by")
_SHOWN = [column for column in contact_export.c if column.name not in _HIDDEN]
_KINDS = tuple(kind.value for kind in AddressKind)
_HEAD = ("id", "name", "first_name", "last_name", *_KINDS, "language", "time_zone", "country", "tags")
_TAIL = ("opted_out_at", "opted_out_source", "last_inbound_at", "created_at", "updated_at")


async def start_export(tx: Tx, subject: Subject, wanted: ContactFilter) -> Export:
    """Begin an export of the contacts that a filter means; a segment's ids go in as `ids`."""
    export_id = uuid7()
    values = {"status": "queued", "filter": dump_filter(wanted), "created_by": subject.id}
    await tx.execute(insert(contact_export).values(tenant_id=tx.tenant, id=export_id, **values))
    await jobs.enqueue(tx, RUN, {"export_id": str(export_id)}, dedupe_key=str(export_id))
    await audit.record(tx, subject, "contacts.exported", export_id, {})
    return await get_export(tx, export_id)


async def get_export(tx: Tx, export_id: UUID) -> Export:
    """An export of the tenant.

    Raises:
        ExportNotFound: There is none.
    """
    row = await tx.first(
        select(*_SHOWN).where(contact_export.c.tenant_id == tx.tenant, contact_export.c.id == export_id)
    )
    if row is None:
        raise ExportNotFound
    return Export(**row)


async def export_file(tx: Tx, export_id: UUID) -> str:
    """The key of a finished export's file.

    Raises:
        ExportNotFound: There is none, or not any more.
    """
    key: str | None = await tx.scalar(
        select(contact_export.c.blob_key).where(
            contact_export.c.tenant_id == tx.tenant,
            contact_export.c.id == export_id,
            contact_export.c.status == "done",
        )
    )
    if key is None:
        raise ExportNotFound
    return key


async def run_export(resources: Resources, tenant_id: UUID, payload: Mapping[str, Any]) -> None:
    """The job: writes the whole file; begun anew after a kill."""
    export_id = UUID(payload["export_id"])
    async with resources.database.transaction(tenant_id) as tx:
        found = await get_export(tx, export_id)
        fields = list(await all_fields(tx))
    if found.status not in ("queued", "running"):
        return
    key = blob_key(tenant_id, AREA, f"{export_id}.csv")
    counted = _Counted()
    header = [*_HEAD, *_TAIL, *(f"field:{key}" for key in fields)]
    content = csv_pieces(_rows(resources, tenant_id, load_filter(found.filter), fields, counted), header)
    await resources.blobs.put(key, content, "text/csv; charset=utf-8")
    size = await resources.blobs.size(key)
    values = {"status": "done", "blob_key": key, "size": size, "rows": counted.rows}
    async with resources.database.transaction(tenant_id) as tx:
        await tx.execute(
            contact_export.update()
            .where(contact_export.c.tenant_id == tenant_id, contact_export.c.id == export_id)
            .values(**values, finished_at=resources.clock.now())
        )


class _Counted:
    """How many rows a stream had."""

    rows = 0


async def _rows(
    resources: Resources, tenant_id: UUID, wanted: ContactFilter, fields: list[str], counted: _Counted
) -> AsyncIterator[list[Any]]:
    """Newest first; every 1,000 contacts are a transaction of their own."""
    before: UUID | None = None
    while True:
        async with resources.database.transaction(tenant_id) as tx:
            contacts = await repository.list_newest(tx, wanted, limit=_PAGE, before=before)
        if not contacts:
            return
        for contact in contacts:
            counted.rows += 1
            yield _row(contact, fields)
        before = contacts[-1].id


def _row(contact: Contact, fields: list[str]) -> list[Any]:
    addresses = [
        ", ".join(identity.value for identity in contact.identities if identity.kind == kind) for kind in _KINDS
    ]
    return [
        contact.id,
        contact.name,
        contact.first_name,
        contact.last_name,
        *addresses,
        contact.language,
        contact.time_zone,
        contact.country,
        ", ".join(contact.tags),
        *(_text(getattr(contact, name)) for name in _TAIL),
        *(contact.fields.get(key) for key in fields),
    ]


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def dump_filter(wanted: ContactFilter) -> dict[str, Any]:
    """A filter as JSON."""
    values = {name: value for name, value in asdict(wanted).items() if value is not None}
    if "ids" in values:
        values["ids"] = [str(one) for one in values["ids"]]
    if "updated_since" in values:
        values["updated_since"] = values["updated_since"].isoformat()
    return values


def load_filter(stored: Mapping[str, Any]) -> ContactFilter:
    """A filter from JSON."""
    values = dict(stored)
    if "ids" in values:
        values["ids"] = tuple(UUID(one) for one in values["ids"])
    if "updated_since" in values:
        values["updated_since"] = datetime.fromisoformat(values["updated_since"])
    return ContactFilter(**values)
