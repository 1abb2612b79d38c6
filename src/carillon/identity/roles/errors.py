"""What roles can complain about.

CarillonError
├── NotFound   RoleNotFound
├── Invalid    UnknownPermission
├── Forbidden  PermissionEscalation
└── Conflict   RoleExists · RoleInUse · RoleBuiltin
"""

from carillon.kernel.errors import Conflict, Forbidden, Invalid, NotFound


class RoleNotFound(NotFound):
    """There is no such role."""

    code = "role_not_found"


class UnknownPermission(Invalid):
    """There is no such permission."""

    code = "unknown_permission"


class PermissionEscalation(Forbidden):
    """You cannot give, or decide over, permissions that you do not have."""

    code = "permission_escalation"


class RoleExists(Conflict):
    """There is already a role of that name."""

    code = "role_exists"


class RoleInUse(Conflict):
    """People or invitations still have this role."""

    code = "role_in_use"


class RoleBuiltin(Conflict):
    """A built-in role cannot be changed; make one of your own."""

    code = "role_builtin"
