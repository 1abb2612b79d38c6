"""What can be wrong with accounts.

AccountNotFound, ActionNotFound                                     404
AddressTaken, AccountStopped, NotStopped, ProxyFull, AlreadyUndone  409
UnknownConnector, BadAccount, UnknownProxy                          400
"""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class AccountNotFound(NotFound):
    """There is no such account."""

    code = "account_not_found"


class AddressTaken(Conflict):
    """An account with this address exists already."""

    code = "account_address_taken"


class UnknownConnector(Invalid):
    """There is no such connector."""

    code = "unknown_connector"


class BadAccount(Invalid):
    """The account is not valid."""

    code = "bad_account"


class UnknownProxy(Invalid):
    """There is no such proxy."""

    code = "unknown_proxy"


class ProxyFull(Conflict):
    """The proxy has as many accounts as it may."""

    code = "proxy_full"


class AccountStopped(Conflict):
    """The account is banned or signed out: sign it in again first."""

    code = "account_stopped"


class NotStopped(Conflict):
    """Only a banned or signed-out account can be signed in again."""

    code = "account_not_stopped"


class ActionNotFound(NotFound):
    """There is no such bulk action."""

    code = "account_action_not_found"


class AlreadyUndone(Conflict):
    """That was undone before."""

    code = "already_undone"
