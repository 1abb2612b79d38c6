"""What can be wrong with proxies."""

from carillon.kernel.errors import Conflict, Invalid, NotFound, Unavailable


class ProxyNotFound(NotFound):
    """There is no such proxy."""

    code = "proxy_not_found"


class ProxyNameTaken(Conflict):
    """A proxy of this name exists already."""

    code = "proxy_name_taken"


class ProxyInUse(Conflict):
    """Accounts are bound to this proxy: bind them to another one first."""

    code = "proxy_in_use"


class BadProxy(Invalid):
    """The proxy is not valid."""

    code = "bad_proxy"


class ProxyDown(Unavailable):
    """The proxy does not answer, was not checked yet, or is switched off."""

    code = "proxy_down"
