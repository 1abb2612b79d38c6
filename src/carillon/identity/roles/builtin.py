"""The roles every tenant has, as data.

Their permissions are always those of the running version, not those stored when the tenant was made: a permission
that a new release brings belongs to the owners at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from carillon.kernel.permissions import ALL_PERMISSIONS, Permission, compile_permissions

OWNER: Final = "owner"

P = Permission

_READING = (
    P.TENANT_READ, P.USERS_READ, P.ROLES_READ, P.CONTACTS_READ, P.CONSENTS_READ, P.SEGMENTS_READ, P.ACCOUNTS_READ,
    P.PROXIES_READ, P.TEMPLATES_READ, P.CONVERSATIONS_READ, P.MESSAGES_READ, P.CAMPAIGNS_READ, P.TIMERS_READ,
    P.EVENTS_READ,
)  # fmt: skip
_OPERATING = (
    *_READING, P.CONTACTS_WRITE, P.CONTACTS_IMPORT, P.CONTACTS_EXPORT, P.CONSENTS_WRITE, P.SEGMENTS_WRITE,
    P.ACCOUNTS_WRITE, P.PROXIES_WRITE, P.TEMPLATES_WRITE, P.CONVERSATIONS_WRITE, P.MESSAGES_SEND, P.CAMPAIGNS_WRITE,
    P.CAMPAIGNS_SEND, P.TIMERS_WRITE, P.EVENTS_WRITE,
)  # fmt: skip
_ANSWERING = (
    P.TENANT_READ, P.USERS_READ, P.CONTACTS_READ, P.CONTACTS_WRITE, P.CONSENTS_READ, P.CONSENTS_WRITE,
    P.ACCOUNTS_READ, P.TEMPLATES_READ, P.CONVERSATIONS_READ, P.CONVERSATIONS_WRITE, P.MESSAGES_READ, P.MESSAGES_SEND,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BuiltinRole:
    """A role that the product defines."""

    description: str
    mask: int


BUILTIN_ROLES: Final[Mapping[str, BuiltinRole]] = MappingProxyType(
    {
        OWNER: BuiltinRole("Everything, including the tenant itself.", ALL_PERMISSIONS),
        # Less than an owner by one permission, so that an admin can neither make nor unmake owners.
        "admin": BuiltinRole(
            "Everything but the tenant's own settings and its owners.",
            ALL_PERMISSIONS & ~(1 << P.TENANT_WRITE),
        ),
        "operator": BuiltinRole(
            "Runs accounts, contacts and campaigns; neither people's access nor erasure.",
            compile_permissions(_OPERATING),
        ),
        "agent": BuiltinRole("Holds conversations.", compile_permissions(_ANSWERING)),
        "analyst": BuiltinRole("Looks at everything, changes nothing.", compile_permissions(_READING)),
    }
)


def effective_mask(builtin: str | None, stored: int) -> int:
    """The permissions of a stored role: those of this version for a built-in one, else the stored ones it knows."""
    if builtin is None:
        return stored & ALL_PERMISSIONS
    known = BUILTIN_ROLES.get(builtin)
    return known.mask if known else 0
