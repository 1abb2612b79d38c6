"""Files of contacts and imports of them, for tests."""

from typing import Any
from uuid import UUID

from carillon.audience.contacts import api
from carillon.audience.contacts.contracts import Import
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.storage.blobs import blob_key
from carillon.storage.resources import Resources


async def upload(
    resources: Resources, tenant: UUID, content: bytes, name: str = "people.csv", **choices: Any
) -> Import:
    key = blob_key(tenant, "uploads", uuid7().hex)
    await resources.blobs.put(key, content, "application/octet-stream")
    async with resources.database.transaction(tenant) as tx:
        return await api.upload(tx, resources, system_subject(tenant), key=key, file_name=name, **choices)


async def prepare(resources: Resources, tenant: UUID, content: bytes, **options: Any) -> Import:
    """Uploaded and mapped as suggested, with the options given."""
    found = await upload(resources, tenant, content)
    mapping = {**found.suggestion["mapping"], **options.pop("mapping", {})}
    async with resources.database.transaction(tenant) as tx:
        return await api.configure(tx, found.id, api.make_options({"mapping": mapping, **options}))


async def start(resources: Resources, tenant: UUID, content: bytes, **options: Any) -> Import:
    found = await prepare(resources, tenant, content, **options)
    async with resources.database.transaction(tenant) as tx:
        return await api.start(tx, found.id)


async def run(resources: Resources, tenant: UUID, import_id: UUID) -> Import:
    await api.run_import(resources, tenant, {"import_id": str(import_id)})
    async with resources.database.transaction(tenant) as tx:
        return await api.get_import(tx, import_id)


async def imported(resources: Resources, tenant: UUID, content: bytes | str, **options: Any) -> Import:
    data = content.encode() if isinstance(content, str) else content
    found = await start(resources, tenant, data, **options)
    return await run(resources, tenant, found.id)


async def people(owner: Any, tenant: UUID) -> dict[str, dict[str, Any]]:
    """Every living contact by its phone or other first address, without ids and times of its own."""
    rows = await owner.fetch(
        """
        SELECT c.name, c.first_name, c.last_name, c.email, c.language, c.time_zone, c.time_zones, c.country, c.tags,
            c.fields::text AS fields, c.peers::text AS peers, c.consents::text AS consents,
            c.opted_out_at IS NOT NULL AS opted_out, c.opted_out_source,
            (SELECT array_agg(i.kind || ' ' || i.value ORDER BY i.kind DESC, i.value) FROM audience.identity i
             WHERE i.tenant_id = c.tenant_id AND i.contact_id = c.id) AS addresses,
            (SELECT count(*) FROM audience.consent_entry e
             WHERE e.tenant_id = c.tenant_id AND e.contact_id = c.id) AS entries
        FROM audience.contact c WHERE c.tenant_id = $1 AND c.merged_into IS NULL
        """,
        tenant,
    )
    return {(row["addresses"] or [row["name"]])[0]: dict(row) for row in rows}


async def faults(owner: Any, import_id: UUID) -> list[tuple[int, str, str]]:
    rows = await owner.fetch(
        "SELECT row, kind, code FROM audience.import_fault WHERE import_id = $1 ORDER BY row, code", import_id
    )
    return [(row["row"], row["kind"], row["code"]) for row in rows]
