"""HTTP of message templates."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from carillon.gateway.context import Context, allow, require
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .schemas import (
    ContentBody,
    PreviewOut,
    StoredPreviewIn,
    TemplateIn,
    TemplateOut,
    TemplatePatch,
    TemplateVersionOut,
    UnsavedPreviewIn,
    ValidationOut,
)

Reader = Annotated[Context, allow(Permission.TEMPLATES_READ)]
Writer = Annotated[Context, allow(Permission.TEMPLATES_WRITE)]

router = make_router("/templates", "templates")


@router.get("", summary="Message templates, newest first")
async def list_templates(
    context: Reader,
    page: PageQuery,
    *,
    archived: bool = False,
    query: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
) -> PageOut[TemplateOut]:
    """In their latest versions."""
    found = await api.list_templates(context.tx, page, archived=archived, query=query)
    return PageOut(items=[TemplateOut.of(one) for one in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, summary="Store a template")
async def create_template(context: Writer, body: TemplateIn) -> TemplateOut:
    """Its texts must be valid and its tests pass."""
    stored = await api.create(
        context.tx, context.subject, name=body.name, content=body.content.content(), description=body.description
    )
    return TemplateOut.of(stored)


@router.post("/validate", summary="Check a template that is being written")
async def validate_template(_context: Reader, body: ContentBody) -> ValidationOut:
    """All faults with their places, and the variables; nothing is stored."""
    return ValidationOut.of(api.validate(body.content()))


@router.post("/preview", summary="Show a template that is being written as a person would get it")
async def preview_unsaved_template(context: Reader, body: UnsavedPreviewIn) -> PreviewOut:
    """Needs to be allowed to read contacts too."""
    require(context.subject, Permission.CONTACTS_READ)
    content = body.content.content()
    return PreviewOut.of(await api.preview(context.tx, content, body.contact_id, language=body.language))


@router.get("/{template_id}", summary="One template")
async def get_template(
    context: Reader, template_id: UUID, version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None
) -> TemplateOut:
    """In its latest version, or the named one."""
    return TemplateOut.of(await api.get(context.tx, template_id, version))


@router.patch("/{template_id}", summary="Change a template")
async def edit_template(context: Writer, template_id: UUID, body: TemplatePatch) -> TemplateOut:
    """Another content becomes a new version; campaigns keep the texts they were planned with."""
    return TemplateOut.of(await api.edit(context.tx, context.subject, template_id, body.edit()))


@router.get("/{template_id}/versions", summary="The versions of a template, newest first")
async def list_template_versions(context: Reader, template_id: UUID, page: PageQuery) -> PageOut[TemplateVersionOut]:
    """Read one with `?version=` of the template itself."""
    found = await api.versions(context.tx, template_id, page)
    return PageOut(items=[TemplateVersionOut.of(one) for one in found.items], next_cursor=found.next_cursor)


@router.post("/{template_id}/archive", summary="Take a template out of the lists")
async def archive_template(context: Writer, template_id: UUID) -> TemplateOut:
    """What uses it goes on."""
    return TemplateOut.of(await api.set_archived(context.tx, context.subject, template_id, archived=True))


@router.post("/{template_id}/restore", summary="Put an archived template back")
async def restore_template(context: Writer, template_id: UUID) -> TemplateOut:
    """The opposite of archiving."""
    return TemplateOut.of(await api.set_archived(context.tx, context.subject, template_id, archived=False))


@router.post("/{template_id}/preview", summary="Show a template as a person would get it")
async def preview_template(context: Reader, template_id: UUID, body: StoredPreviewIn) -> PreviewOut:
    """Needs to be allowed to read contacts too."""
    require(context.subject, Permission.CONTACTS_READ)
    stored = await api.get(context.tx, template_id, body.version)
    return PreviewOut.of(await api.preview(context.tx, stored.content, body.contact_id, language=body.language))
