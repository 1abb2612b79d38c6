"""Every permission of the product; a role is a set of them, compiled to one integer.

A member's value is its bit for ever: stored roles depend on it. Never renumber, only append.
"""

from collections.abc import Iterable
from enum import IntEnum


class Permission(IntEnum):
    """`AREA_VERB`; written `area:verb` on the wire."""

    TENANT_READ = 0
    TENANT_WRITE = 1
    USERS_READ = 2
    USERS_WRITE = 3
    ROLES_READ = 4
    ROLES_WRITE = 5
    API_KEYS_READ = 6
    API_KEYS_WRITE = 7
    AUDIT_READ = 8
    CONTACTS_READ = 9
    CONTACTS_WRITE = 10
    CONTACTS_IMPORT = 11
    CONTACTS_EXPORT = 12
    CONTACTS_ERASE = 13
    CONSENTS_READ = 14
    CONSENTS_WRITE = 15
    SEGMENTS_READ = 16
    SEGMENTS_WRITE = 17
    ACCOUNTS_READ = 18
    ACCOUNTS_WRITE = 19
    PROXIES_READ = 20
    PROXIES_WRITE = 21
    TEMPLATES_READ = 22
    TEMPLATES_WRITE = 23
    CONVERSATIONS_READ = 24
    CONVERSATIONS_WRITE = 25
    MESSAGES_READ = 26
    MESSAGES_SEND = 27
    CAMPAIGNS_READ = 28
    CAMPAIGNS_WRITE = 29
    CAMPAIGNS_SEND = 30
    TIMERS_READ = 31
    TIMERS_WRITE = 32
    EVENTS_READ = 33
    EVENTS_WRITE = 34

    @property
    def wire(self) -> str:
        """The name on the wire, e.g. `contacts:read`."""
        area, _, verb = self.name.lower().rpartition("_")
        return f"{area}:{verb}"


BY_WIRE = {permission.wire: permission for permission in Permission}
ALL_PERMISSIONS = sum(1 << permission for permission in Permission)


def compile_permissions(permissions: Iterable[Permission]) -> int:
    """The set as a bit mask."""
    mask = 0
    for permission in permissions:
        mask |= 1 << permission
    return mask


def list_permissions(mask: int) -> list[Permission]:
    """The bit mask as a list, in the order of the bits."""
    return [permission for permission in Permission if mask >> permission & 1]
