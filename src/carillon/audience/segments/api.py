"""The door of segments: rules about people, stored and turned into one query.

Duties: check rule trees, store them, count and sample who they mean, say who of them may be written to. A rule
becomes one `Select` over `audience.contact` that others compose. It must not send, plan or change people, and it
knows nothing of campaigns: services above register attributes of their own with `register`.
"""

from .attributes import Attribute, register
from .compiling import COLUMNS, select_members
from .contracts import Rule
from .rules import EVERYBODY, parse
from .service import (
    count,
    create,
    delete,
    get,
    list_segments,
    reach,
    resolve,
    rule_of,
    sample,
    update,
)

__all__ = [
    "COLUMNS",
    "EVERYBODY",
    "Attribute",
    "Rule",
    "count",
    "create",
    "delete",
    "get",
    "list_segments",
    "parse",
    "reach",
    "register",
    "resolve",
    "rule_of",
    "sample",
    "select_members",
    "update",
]
