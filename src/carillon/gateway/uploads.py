"""Files sent to us: streamed into the blob store before a transaction is open, removed unless the endpoint commits.

A row in `gateway.upload`, committed before the first byte is stored, remembers the file until the endpoint's
transaction removes the row: so a crash in between leaves something that `purge` finds.
"""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from starlette.datastructures import UploadFile

from carillon.kernel.ids import uuid7
from carillon.kernel.subject import Subject
from carillon.storage.blobs import blob_key
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .bodies import CheckedRequest, check_texts, media_type
from .errors import NoFile, UnsupportedMediaType

AREA = "uploads"
_FORM = "multipart/form-data"
_CHUNK = 256 * 1024
_ABANDONED = timedelta(days=1)
_NAME = re.compile(r"""filename\*?=(?:UTF-8''|")?([^";]+)""", re.IGNORECASE)


@dataclass(slots=True)
class Upload:
    """A file that arrived whole.

    Attributes:
        id: Its row until the transaction commits.
        key: Where it lies in `resources.blobs`; after the commit it is the endpoint's to keep and to delete.
        name: What the sender called it: for showing, never a path.
        content_type: What the sender says it is.
        fields: The other fields of the form.
        size: In bytes.
        digest: SHA-256 of the content.
    """

    id: UUID
    key: str
    name: str = ""
    content_type: str = "application/octet-stream"
    fields: dict[str, str] = field(default_factory=dict)
    size: int = 0
    digest: bytes = b""


def take(request: Request) -> Upload:
    """The dependency that marks a route as taking a file; see `UploadBody`."""
    upload: Upload = request.state.upload
    return upload


UploadBody = Annotated[Upload, Depends(take)]
"""An endpoint's parameter: the request's body is a file, raw or the `file` of a form. Add `openapi_extra=UPLOAD`."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": _BINARY,
            "text/csv": _BINARY,
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
"""The OpenAPI description of a body that is a file."""


@asynccontextmanager
async def received(request: CheckedRequest, subject: Subject, resources: Resources) -> AsyncIterator[Upload]:
    """Store the request's file; it is deleted again if the block raises.

    Raises:
        NoFile: The form has none.
        UnsupportedMediaType: The body has no content type.
        BodyTooLarge: It is larger than `settings.max_upload_bytes`.
        BodyIncomplete: The connection broke.
    """
    kind = media_type(request)
    if not kind:
        raise UnsupportedMediaType("Say what the file is, with Content-Type.")
    upload = new_upload(subject.tenant_id, kind)
    source = _form(request, upload) if kind == _FORM else _raw(request, upload)
    async with stored(resources, subject.tenant_id, upload, source):
        yield upload


def new_upload(tenant_id: UUID, content_type: str) -> Upload:
    """A file that is about to come."""
    upload_id = uuid7()
    return Upload(upload_id, blob_key(tenant_id, AREA, upload_id.hex), content_type=content_type)


@asynccontextmanager
async def stored(
    resources: Resources, tenant_id: UUID, upload: Upload, source: AsyncIterator[bytes]
) -> AsyncIterator[None]:
    """Store a file, which is somebody's once they `take_over`; it is deleted again if the block raises."""
    async with resources.database.transaction(tenant_id) as tx:
        await tx.execute(
            "INSERT INTO gateway.upload (tenant_id, id, key) VALUES (:tenant, :id, :key)",
            {"tenant": tx.tenant, "id": upload.id, "key": upload.key},
        )
    try:
        await resources.blobs.put(upload.key, _counted(source, upload), upload.content_type)
        yield
    except BaseException:
        await discard(resources, tenant_id, upload.id, upload.key)
        raise


async def settle(request: Request, tx: Tx) -> None:
    """In the endpoint's transaction: the file is now the endpoint's."""
    upload: Upload | None = getattr(request.state, "upload", None)
    if upload is not None:
        await take_over(tx, upload.id)


async def take_over(tx: Tx, upload_id: UUID) -> None:
    """From this transaction's commit on nobody deletes the file but its new owner."""
    await tx.execute(
        "DELETE FROM gateway.upload WHERE tenant_id = :tenant AND id = :id", {"tenant": tx.tenant, "id": upload_id}
    )


async def discard(resources: Resources, tenant_id: UUID, upload_id: UUID, key: str) -> None:
    """Delete a file that nobody took."""
    await resources.blobs.delete(key)
    async with resources.database.transaction(tenant_id) as tx:
        await take_over(tx, upload_id)


async def purge(resources: Resources) -> int:
    """Delete files whose request died more than a day ago, of all tenants; returns how many."""
    async with resources.database.across_tenants() as tx:
        rows = await tx.all(
            "SELECT tenant_id, id, key FROM gateway.upload WHERE created_at < :before",
            {"before": resources.clock.now() - _ABANDONED},
        )
    for row in rows:
        await discard(resources, row["tenant_id"], row["id"], row["key"])
    return len(rows)


async def _counted(source: AsyncIterator[bytes], upload: Upload) -> AsyncIterator[bytes]:
    digest = hashlib.sha256()
    async for piece in source:
        upload.size += len(piece)
        digest.update(piece)
        yield piece
    upload.digest = digest.digest()


async def _raw(request: CheckedRequest, upload: Upload) -> AsyncIterator[bytes]:
    found = _NAME.search(request.headers.get("content-disposition", ""))
    upload.name = _plain_name(found[1] if found else "")
    async for piece in request.stream():
        if piece:
            yield piece


async def _form(request: CheckedRequest, upload: Upload) -> AsyncIterator[bytes]:
    async with request.form(max_files=1, max_fields=50) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise NoFile(place="body.file")
        upload.name = _plain_name(file.filename or "")
        upload.content_type = file.content_type or upload.content_type
        upload.fields = {name: value for name, value in form.items() if isinstance(value, str)}
        check_texts(upload.fields, "body")
        while piece := await file.read(_CHUNK):
            yield piece


def _plain_name(name: str) -> str:
    """The last part of whatever path was sent, without control characters."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(letter for letter in last if letter.isprintable())[:200]
