"""Why a credential is refused: shared by sessions and keys.

CarillonError
├── Unauthenticated  InvalidCredentials · SessionExpired · KeyRevoked · KeyExpired · AccountSuspended · TenantSuspended
└── Forbidden        UsersOnly
"""

from carillon.kernel.errors import Forbidden, Unauthenticated


class InvalidCredentials(Unauthenticated):
    """The e-mail address, password or key is not right."""

    code = "invalid_credentials"


class SessionExpired(Unauthenticated):
    """Your session has ended; sign in again."""

    code = "session_expired"


class KeyRevoked(Unauthenticated):
    """This key was revoked, or its maker is no member any more."""

    code = "key_revoked"


class KeyExpired(Unauthenticated):
    """This key has expired."""

    code = "key_expired"


class AccountSuspended(Unauthenticated):
    """Your account is suspended."""

    code = "account_suspended"


class TenantSuspended(Unauthenticated):
    """This tenant is suspended."""

    code = "tenant_suspended"


class UsersOnly(Forbidden):
    """Only a person who is signed in can do this, not a key."""

    code = "users_only"
