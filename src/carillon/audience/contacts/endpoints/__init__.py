"""HTTP of contacts."""

from . import bulk, contacts, exports, fields, imports, merges

# Fixed paths below /contacts come before those with an id.
ROUTERS = (fields.routes, bulk.routes, merges.routes, exports.routes, imports.routes, contacts.routes)

__all__ = ["ROUTERS"]
