"""Files full of people do not stay: what nobody fetched or started goes, and error rows after a month."""

from datetime import timedelta

from carillon.storage.database import Tx
from carillon.storage.resources import Resources

_FILES = timedelta(days=7)
_FAULTS = timedelta(days=30)
_AT_ONCE = 500

_EXPIRE_EXPORTS = """
UPDATE audience.contact_export e SET status = 'expired', blob_key = NULL
FROM (SELECT tenant_id, id, blob_key FROM audience.contact_export
      WHERE status = 'done' AND finished_at < :limit ORDER BY finished_at LIMIT :most FOR UPDATE SKIP LOCKED) old
WHERE e.tenant_id = old.tenant_id AND e.id = old.id
RETURNING old.blob_key
"""

_FORGET_UPLOADS = """
UPDATE audience.contact_import i SET status = 'cancelled', finished_at = now()
FROM (SELECT tenant_id, id FROM audience.contact_import
      WHERE status IN ('uploaded', 'ready') AND created_at < :limit LIMIT :most FOR UPDATE SKIP LOCKED) old
WHERE i.tenant_id = old.tenant_id AND i.id = old.id
RETURNING i.blob_key
"""

_FORGET_FAULTS = """
DELETE FROM audience.import_fault f USING audience.contact_import i
WHERE f.tenant_id = i.tenant_id AND f.import_id = i.id AND i.finished_at < :limit
"""

_FORGET_SAMPLES = """
UPDATE audience.contact_import SET format = format - 'sample', report = report - 'faults'
WHERE finished_at < :limit AND (format ? 'sample' OR report ? 'faults')
"""


async def tidy(resources: Resources) -> None:
    """Remove what is past its time, of all tenants."""
    now = resources.clock.now()
    async with resources.database.across_tenants() as tx:
        keys = await _expired(tx, _EXPIRE_EXPORTS, now - _FILES)
        keys += await _expired(tx, _FORGET_UPLOADS, now - _FILES)
        await tx.execute(_FORGET_FAULTS, {"limit": now - _FAULTS})
        await tx.execute(_FORGET_SAMPLES, {"limit": now - _FAULTS})
        # Inside: a file that cannot be removed now is tried again tomorrow.
        for key in keys:
            await resources.blobs.delete(key)


async def _expired(tx: Tx, statement: str, limit: object) -> list[str]:
    rows = await tx.all(statement, {"limit": limit, "most": _AT_ONCE})
    return [row["blob_key"] for row in rows]
