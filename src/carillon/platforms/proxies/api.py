"""The door to the proxy pool.

Does: proxies with their credentials, health and room for accounts. Must not: hand out a proxy that is not known to
work, or a password to anyone but the owner of an account's lease (`endpoint`).
"""

from .checking import check_all, check_one
from .contracts import NewProxy, Proxy, ProxyEdit, ProxyFilter, ProxyScheme, ProxyState
from .errors import ProxyDown, ProxyNotFound
from .service import (
    count,
    create,
    edit,
    endpoint,
    get,
    list_proxies,
    lock,
    remove,
    request_check,
    take_alternative,
    usable,
)

__all__ = [
    "NewProxy",
    "Proxy",
    "ProxyDown",
    "ProxyEdit",
    "ProxyFilter",
    "ProxyNotFound",
    "ProxyScheme",
    "ProxyState",
    "check_all",
    "check_one",
    "count",
    "create",
    "edit",
    "endpoint",
    "get",
    "list_proxies",
    "lock",
    "remove",
    "request_check",
    "take_alternative",
    "usable",
]
