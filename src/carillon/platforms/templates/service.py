"""Stored message templates and their versions."""

from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, func

from carillon.audience.consents.contracts import TemplateData
from carillon.audience.contacts import api as contacts
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx

from . import repository
from .checks import check, check_line, show, validate
from .contracts import Content, Preview, StoredTemplate, TemplateEdit, TemplateVersion, Vector
from .errors import TemplateNameTaken, TemplateNotFound
from .values import variables_of

LONGEST_DESCRIPTION = 1_000


async def get(tx: Tx, template_id: UUID, version: int | None = None) -> StoredTemplate:
    """A template, in its latest version if none is named.

    Raises:
        TemplateNotFound: There is no such template or version.
    """
    row = await repository.find(tx, template_id, version)
    if row is None:
        raise TemplateNotFound
    return _read(row)


async def list_templates(
    tx: Tx, page: PageRequest, *, archived: bool = False, query: str | None = None
) -> Page[StoredTemplate]:
    """Templates, newest first; `query` is part of the name."""
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    rows = await repository.page_of(tx, before=before, limit=page.limit + 1, archived=archived, query=query)
    items = [_read(row) for row in rows[: page.limit]]
    return Page(items, encode_cursor(str(items[-1].id)) if len(rows) > page.limit else None)


async def versions(tx: Tx, template_id: UUID, page: PageRequest) -> Page[TemplateVersion]:
    """The versions of a template, newest first.

    Raises:
        TemplateNotFound: There is no such template.
    """
    before = decode_cursor(page.cursor, int)[0] if page.cursor else None
    rows = await repository.versions(tx, template_id, before=before, limit=page.limit + 1)
    if not rows and before is None:
        raise TemplateNotFound
    items = [TemplateVersion(row["version"], row["created_by"], row["created_at"]) for row in rows[: page.limit]]
    return Page(items, encode_cursor(items[-1].version) if len(rows) > page.limit else None)


async def create(tx: Tx, subject: Subject, *, name: str, content: Content, description: str = "") -> StoredTemplate:
    """Store a template.

    Raises:
        BadTemplate: A text, hint or test is not valid; `place` says where.
        TemplateNameTaken: Another one has the name.
    """
    check(content)
    template_id = uuid7()
    clean = check_line(name, "name")
    if not await repository.add(tx, template_id, clean, _description(description)):
        raise TemplateNameTaken(place="field name")
    await repository.add_version(tx, template_id, 1, _plain(content), subject.id)
    await audit.record(tx, subject, "template.created", template_id, {})
    return await get(tx, template_id)


async def edit(tx: Tx, subject: Subject, template_id: UUID, change: TemplateEdit) -> StoredTemplate:
    """Change a template; other contents become a new version, and the old ones stay.

    Raises:
        TemplateNotFound, BadTemplate, TemplateNameTaken: As for `create`.
    """
    latest = await repository.lock(tx, template_id)
    if latest is None:
        raise TemplateNotFound
    before = await get(tx, template_id)
    values: dict[str, Any] = {}
    if "name" in change.given:
        values["name"] = check_line(change.name, "name")
        if await repository.name_taken(tx, values["name"], by_other_than=template_id):
            raise TemplateNameTaken(place="field name")
    if "description" in change.given:
        values["description"] = _description(change.description)
    if "content" in change.given and _plain(change.content) != _plain(before.content):
        check(change.content)
        values["version"] = latest + 1
        await repository.add_version(tx, template_id, latest + 1, _plain(change.content), subject.id)
    if values:
        await repository.write(tx, template_id, values)
        await audit.record(tx, subject, "template.updated", template_id, {"changed": sorted(values)})
    return await get(tx, template_id)


async def set_archived(tx: Tx, subject: Subject, template_id: UUID, *, archived: bool) -> StoredTemplate:
    """Take a template out of the lists, or back in; what uses it goes on.

    Raises:
        TemplateNotFound: There is no such template.
    """
    if await repository.lock(tx, template_id) is None:
        raise TemplateNotFound
    before = await get(tx, template_id)
    if (before.archived_at is not None) is not archived:
        await repository.write(tx, template_id, {"archived_at": func.now() if archived else None})
        await audit.record(tx, subject, "template.archived" if archived else "template.restored", template_id, {})
    return await get(tx, template_id)


async def preview(tx: Tx, content: Content, contact_id: UUID, *, language: str | None = None) -> Preview:
    """What a person would get.

    Args:
        tx: Inside the tenant.
        content: A stored template's, or one that is being written.
        contact_id: The person.
        language: Instead of the person's own.

    Raises:
        carillon.audience.contacts.errors.ContactNotFound: There is no such person.
        BadTemplate: The text for this person is not valid, or there is none.
    """
    if "" not in content.texts:
        check(content)
    person = await contacts.get(tx, contact_id)
    data = TemplateData(person.name, person.first_name, person.last_name, person.fields)
    return show(content.texts, language or person.language, variables_of(data))


def _description(text: str) -> str:
    return check_line(text, "description", LONGEST_DESCRIPTION, empty=True)


def _plain(content: Content) -> dict[str, Any]:
    """As it is stored."""
    vectors = [
        {
            "name": vector.name,
            "language": vector.language,
            "values": dict(vector.values),
            "expected": vector.expected,
        }
        for vector in content.vectors
    ]
    return {"texts": dict(content.texts), "hints": dict(content.hints), "vectors": vectors}


def _read(row: RowMapping) -> StoredTemplate:
    content = Content(row["texts"], row["hints"], tuple(Vector(**vector) for vector in row["vectors"]))
    found = validate(Content(row["texts"]))
    return StoredTemplate(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        version=row["version"],
        latest=row["latest"],
        content=content,
        variables=found.variables,
        required=found.required,
        archived_at=row["archived_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
