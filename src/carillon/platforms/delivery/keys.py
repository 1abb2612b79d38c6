"""The key a platform de-duplicates by: derived from the ledger id, so that a retry after any crash bears the same."""

import hashlib
import hmac
from uuid import UUID


def message_key(tenant_id: UUID, message_id: UUID) -> int:
    """A signed 64-bit number, never 0, the same for ever for this message (Telegram's `random_id` has this form)."""
    digest = hmac.digest(tenant_id.bytes, message_id.bytes, hashlib.sha256)
    return int.from_bytes(digest[:8], signed=True) or 1
