"""Uploads are stored or gone; downloads are safe."""

from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from carillon.gateway import uploads
from carillon.storage.resources import Resources
from tests.fixtures.api import Client

FILES = "/api/v1/notes/files"
TEXT = {"content-type": "text/csv", "content-disposition": 'attachment; filename="C:\\tmp\\list.csv"'}
Owner: TypeAlias = "asyncpg.Connection[Any]"


def form(name: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    parts = (
        b'--b\r\nContent-Disposition: form-data; name="mapping"\r\n\r\n{}\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + name.encode() + b'"\r\n'
        b"Content-Type: text/plain\r\n\r\n" + content + b"\r\n--b--\r\n"
    )
    return parts, {"content-type": "multipart/form-data; boundary=b"}


async def leftovers(owner: Owner, tenant: UUID, resources: Resources) -> tuple[int, list[Any]]:
    rows = await owner.fetchval("SELECT count(*) FROM gateway.upload WHERE tenant_id = $1", tenant)
    return rows, [path for path in (resources.settings.data / "blobs").rglob("*") if path.is_file()]


async def test_a_raw_body_is_streamed_to_the_blobs(
    client: Client, owner: Owner, tenant: UUID, app_resources: Resources
) -> None:
    answer = await client.request("POST", FILES, body=[b"x" * 700_000] * 3, headers=TEXT)
    stored = answer.json()
    assert answer.status == 201
    assert (stored["name"], stored["size"], stored["type"]) == ("list.csv", "2100000", "text/csv")
    assert await app_resources.blobs.size(stored["key"]) == 2_100_000
    assert (await leftovers(owner, tenant, app_resources))[0] == 0


async def test_a_form_with_a_file(client: Client, app_resources: Resources) -> None:
    body, headers = form("Kontakte 联系人.txt", b"hello")
    stored = (await client.request("POST", FILES, body=body, headers=headers)).json()
    assert (stored["name"], stored["type"]) == ("Kontakte 联系人.txt", "text/plain")
    assert await app_resources.blobs.get(stored["key"]) == b"hello"


@pytest.mark.parametrize("length_known", [True, False])
async def test_a_file_that_is_too_large_is_gone(
    client: Client, owner: Owner, tenant: UUID, app_resources: Resources, length_known: bool
) -> None:
    app_resources.settings.max_upload_bytes = 1_000_000
    body: Any = b"x" * 1_000_001 if length_known else [b"x" * 600_000] * 2
    answer = await client.request("POST", FILES, body=body, headers=TEXT)
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert await leftovers(owner, tenant, app_resources) == (0, [])


async def test_a_refused_file_is_gone(client: Client, owner: Owner, tenant: UUID, app_resources: Resources) -> None:
    body, headers = form("refuse.txt", b"hello")
    assert (await client.request("POST", FILES, body=body, headers=headers)).status == 409
    assert await leftovers(owner, tenant, app_resources) == (0, [])


async def test_a_broken_upload_is_gone(
    client: Client, owner: Owner, tenant: UUID, app_resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}]
    start: dict[str, Any] = {}

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        start.update(message if "status" in message else {})

    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": FILES,
        "raw_path": FILES.encode(), "query_string": b"", "root_path": "", "client": ("192.0.2.7", 1),
        "server": ("testserver", 80), "state": {},
        "headers": [(b"content-type", b"text/csv"), (b"authorization", client.headers["authorization"].encode())],
    }  # fmt: skip
    await client.app(scope, receive, send)
    assert start["status"] == 400
    assert await leftovers(owner, tenant, app_resources) == (0, [])


async def test_forms_without_a_file_and_bodies_without_a_type(client: Client) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n{}\r\n--b--\r\n'
    answer = await client.request("POST", FILES, body=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert (answer.status, answer.code) == (400, "no_file")
    assert (await client.request("POST", FILES, body=b"x")).code == "unsupported_media_type"
    answer = await client.request("POST", FILES, body=b"junk", headers={"content-type": "multipart/form-data"})
    assert answer.status == 400


async def test_a_repeated_upload_is_replayed(
    client: Client, owner: Owner, tenant: UUID, app_resources: Resources
) -> None:
    key = {**TEXT, "idempotency-key": "file-1"}
    first = await client.request("POST", FILES, body=b"abc", headers=key)
    again = await client.request("POST", FILES, body=b"abc", headers=key)
    other = await client.request("POST", FILES, body=b"abd", headers=key)
    assert (again.body, other.status) == (first.body, 422)
    rows, files = await leftovers(owner, tenant, app_resources)
    assert (rows, [file.name for file in files]) == (0, [first.json()["key"].split("/")[-1]])


async def test_files_of_dead_requests_are_purged(
    owner: Owner, tenant: UUID, worker_resources: Resources, app_resources: Resources
) -> None:
    key = f"{tenant}/uploads/dead"
    await app_resources.blobs.put(key, b"x", "text/plain")
    await owner.execute(
        "INSERT INTO gateway.upload (tenant_id, id, key, created_at) "
        "VALUES ($1, gen_random_uuid(), $2, now() - interval '2 days')", tenant, key,
    )  # fmt: skip
    assert await uploads.purge(worker_resources) >= 1
    assert not await app_resources.blobs.exists(key)


async def test_csv_downloads(client: Client) -> None:
    await client.post("/api/v1/notes", {"name": "=cmd|' /C calc'!A0", "number": -3})
    answer = await client.get("/api/v1/notes/export")
    assert answer.body.decode() == "\ufeffname,number\r\n'=cmd|' /C calc'!A0,-3\r\n"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Notizen __.csv\"; filename*=UTF-8''Notizen%20%E7%AC%94%E8%AE%B0.csv"
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
