"""The door to the account pool.

Does: accounts with their states, secrets, settings and proxies; who runs them and what they did today. Must not: send
anything, hand a secret to anyone but the owner of the account's lease (`config`) and whoever verifies the calls of its
platform (`AccountMemory`), or let an account with a proxy out by the machine's own address.
"""

from carillon.platforms.connectors.catalog import CONNECTORS

from .bulk import act, create_many, undo
from .contracts import Account, AccountFilter, NewAccount
from .counting import tally
from .errors import AccountNotFound
from .life import change_state
from .listing import count, list_accounts, view
from .reasons import explain
from .recovery import leave_proxy, renew_proxy, tick
from .remembered import AccountMemory, Remembered, versions
from .service import config, create, edit, get, names, park, remove, save_sync, set_secret, sign_in_again, unpark
from .timeline import timeline

__all__ = [
    "CONNECTORS",
    "Account",
    "AccountFilter",
    "AccountMemory",
    "AccountNotFound",
    "NewAccount",
    "Remembered",
    "act",
    "change_state",
    "config",
    "count",
    "create",
    "create_many",
    "edit",
    "explain",
    "get",
    "leave_proxy",
    "list_accounts",
    "names",
    "park",
    "remove",
    "renew_proxy",
    "save_sync",
    "set_secret",
    "sign_in_again",
    "tally",
    "tick",
    "timeline",
    "undo",
    "unpark",
    "versions",
    "view",
]
