"""The door of roles: permission sets with a name.

Duties: the built-in roles of every tenant and its own ones; the rule that nobody gives, or decides over,
permissions that they lack (`check_within`), which users and API keys apply too.
It must not know who has a role: memberships belong to users.
"""

from .builtin import BUILTIN_ROLES, OWNER, effective_mask
from .service import (
    builtin_role,
    check_within,
    create_role,
    delete_role,
    ensure_builtin,
    get_role,
    list_roles,
    read_permissions,
    update_role,
)

__all__ = [
    "BUILTIN_ROLES",
    "OWNER",
    "builtin_role",
    "check_within",
    "create_role",
    "delete_role",
    "effective_mask",
    "ensure_builtin",
    "get_role",
    "list_roles",
    "read_permissions",
    "update_role",
]
