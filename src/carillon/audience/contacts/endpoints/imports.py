"""HTTP of imports."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from fastapi.responses import StreamingResponse

from carillon.audience.contacts import api
from carillon.audience.contacts.schemas import FaultOut, ImportOut, Line, OptionsIn
from carillon.gateway.context import Context, allow
from carillon.gateway.downloads import csv_download
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router
from carillon.gateway.uploads import UPLOAD, UploadBody
from carillon.kernel.permissions import Permission

from .exports import CSV_ANSWER

Importer = Annotated[Context, allow(Permission.CONTACTS_IMPORT)]

routes = router("/imports", "imports")


@routes.post("", status_code=201, summary="Upload a file of contacts", openapi_extra=UPLOAD)
async def upload_import(
    context: Importer,
    file: UploadBody,
    has_header: Annotated[bool | None, Query(description="Whether the first row names the columns")] = None,
    encoding: Annotated[Line | None, Query(description="When it was detected wrongly, e.g. gb18030")] = None,
    sheet: Annotated[Line | None, Query(description="Sheet of a workbook")] = None,
) -> ImportOut:
    """CSV and its kin, XLSX, vCard, or Telegram Desktop's result.json; answers columns, mapping and a sample."""
    found = await api.upload(
        context.tx,
        context.resources,
        context.subject,
        key=file.key,
        file_name=file.name,
        has_header=has_header,
        encoding=encoding,
        sheet=sheet,
    )
    return ImportOut.model_validate(found)


@routes.get("", summary="Imports, newest first")
async def list_imports(context: Importer, page: PageQuery) -> PageOut[ImportOut]:
    """With their progress."""
    found = await api.list_imports(context.tx, page)
    return PageOut(items=[ImportOut.model_validate(one) for one in found.items], next_cursor=found.next_cursor)


@routes.get("/{import_id}", summary="An import")
async def get_import(context: Importer, import_id: UUID) -> ImportOut:
    """Progress is `done_bytes` of `size`."""
    return ImportOut.model_validate(await api.get_import(context.tx, import_id))


@routes.put("/{import_id}/options", summary="Set mapping and rules")
async def configure_import(context: Importer, import_id: UUID, body: OptionsIn) -> ImportOut:
    """Until it is started."""
    options = api.make_options(body.model_dump())
    return ImportOut.model_validate(await api.configure(context.tx, import_id, options))


@routes.post("/{import_id}/check", status_code=202, summary="Try an import without writing anything")
async def check_import(context: Importer, import_id: UUID) -> ImportOut:
    """In the background; the result is in `report` once the status is `ready` again."""
    return ImportOut.model_validate(await api.check(context.tx, import_id))


@routes.post("/{import_id}/start", status_code=202, summary="Start an import")
async def start_import(context: Importer, import_id: UUID) -> ImportOut:
    """In the background, resumed after a crash where it stood."""
    return ImportOut.model_validate(await api.start(context.tx, import_id))


@routes.post("/{import_id}/cancel", summary="Stop an import")
async def cancel_import(context: Importer, import_id: UUID) -> ImportOut:
    """What was written stays."""
    return ImportOut.model_validate(await api.cancel(context.tx, import_id, context.resources))


@routes.get("/{import_id}/faults", summary="Rows that were not imported, or not as they stand")
async def list_import_faults(context: Importer, import_id: UUID, page: PageQuery) -> PageOut[FaultOut]:
    """In the order of the rows."""
    found = await api.list_faults(context.tx, import_id, page)
    return PageOut(items=[FaultOut.model_validate(one) for one in found.items], next_cursor=found.next_cursor)


@routes.get(
    "/{import_id}/faults.csv", summary="The same as CSV", response_class=StreamingResponse, responses=CSV_ANSWER
)
async def download_import_faults(context: Importer, import_id: UUID) -> StreamingResponse:
    """Row, byte, what, code, field and reason, then the row's own cells as they were."""
    found = await api.get_import(context.tx, import_id)
    rows = api.fault_rows(context.resources.database, context.tx.tenant, found)
    return csv_download(rows, f"faults-{import_id}.csv", api.fault_columns(found))
