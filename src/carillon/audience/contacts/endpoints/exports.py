"""HTTP of exports."""

from typing import Annotated
from uuid import UUID

from fastapi.responses import StreamingResponse

from carillon.audience.contacts import api
from carillon.audience.contacts.schemas import ExportIn, ExportOut
from carillon.gateway.context import Context, allow
from carillon.gateway.downloads import download
from carillon.gateway.routing import router
from carillon.kernel.permissions import Permission

Exporter = Annotated[Context, allow(Permission.CONTACTS_EXPORT)]

CSV = "text/csv; charset=utf-8"
CSV_ANSWER: dict[int | str, dict[str, object]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV in UTF-8"}
}

routes = router("/contact-exports", "contacts")


@routes.post("", status_code=202, summary="Export contacts as CSV")
async def create_contact_export(context: Exporter, body: ExportIn) -> ExportOut:
    """Made in the background; the file is kept for seven days."""
    made = await api.start_export(context.tx, context.subject, body.contacts.filter())
    return ExportOut.model_validate(made)


@routes.get("/{export_id}", summary="An export")
async def get_contact_export(context: Exporter, export_id: UUID) -> ExportOut:
    """Whether it is done, and how large."""
    return ExportOut.model_validate(await api.get_export(context.tx, export_id))


@routes.get(
    "/{export_id}/file", summary="The file of an export", response_class=StreamingResponse, responses=CSV_ANSWER
)
async def download_contact_export(context: Exporter, export_id: UUID) -> StreamingResponse:
    """Cells that a spreadsheet could take for formulas begin with an apostrophe."""
    key = await api.export_file(context.tx, export_id)
    return download(context.resources.blobs.stream(key), f"contacts-{export_id}.csv", CSV)
