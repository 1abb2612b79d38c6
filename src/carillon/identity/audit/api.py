"""The door of the audit log: who did what, to what, when, from where; chained so that changes are found.

Duties: `record` in the caller's transaction; `verify` a tenant's whole chain; list with filters.
It must never hold a secret or a phone number, and nothing changes or removes an entry.
"""

from .origin import set_origin
from .service import list_entries, record, verify

__all__ = ["list_entries", "record", "set_origin", "verify"]
