"""The key a platform de-duplicates by: derived from the ledger id, so that a retry after any crash bears the same."""

import hashlib
from uuid import UUID


def message_key(tenant_id: UUID, message_id: UUID) -> int:
    """A signed 64-bit number, never 0, the same for ever for this message (Telegram's `random_id` has this form)."""
    digest = hashlib.sha256(tenant_id.bytes + message_id.bytes).digest()
    return int.from_bytes(digest[:8], signed=True) or 1
