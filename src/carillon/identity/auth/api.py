"""The door of auth: people prove who they are, and stay signed in.

Duties: sign-in with password and second factor, sessions (as cookies), accepting invitations, going over to another
tenant, one's own password, the first login of an installation, the authenticator of every request.
It must never store, log or return a secret but once: passwords as argon2id, second factors sealed, tokens and
recovery codes as keyed hashes. It decides nothing about roles or memberships.
"""

from .account import change_password, end_other_sessions, end_own_session, get_me, reset_password
from .authenticator import IdentityAuthenticator
from .bootstrap import add_owner, bootstrap
from .confirmation import acting_user
from .cookies import clear_cookie, set_cookie
from .joining import accept_invitation, preview_invitation
from .second_factor import confirm as confirm_second_factor
from .second_factor import disable as disable_second_factor
from .second_factor import enrol as enrol_second_factor
from .second_factor import get_second_factor, renew_recovery_codes
from .sessions import list_sessions
from .sessions import purge as purge_sessions
from .sign_in import list_own_tenants, sign_in, sign_out, switch_tenant
from .throttle import purge as purge_throttle

__all__ = [
    "IdentityAuthenticator",
    "accept_invitation",
    "acting_user",
    "add_owner",
    "bootstrap",
    "change_password",
    "clear_cookie",
    "confirm_second_factor",
    "disable_second_factor",
    "end_other_sessions",
    "end_own_session",
    "enrol_second_factor",
    "get_me",
    "get_second_factor",
    "list_own_tenants",
    "list_sessions",
    "preview_invitation",
    "purge_sessions",
    "purge_throttle",
    "renew_recovery_codes",
    "reset_password",
    "set_cookie",
    "sign_in",
    "sign_out",
    "switch_tenant",
]
