"""Cross-site request forgery: a browser adds the cookie to whatever page asks, so a change must prove its page."""

from urllib.parse import urlsplit

from fastapi import Request

from carillon.ops.settings import Settings

from .errors import CrossSite

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def check_site(request: Request, settings: Settings) -> None:
    """Refuse a change made with a cookie from another site's page.

    A bearer key is exempt: no page can make a browser send it. `Sec-Fetch-Site` (W3C Fetch Metadata) decides
    where the browser sends it, else `Origin`, which must name the host that was asked or our public one.

    Raises:
        CrossSite: It comes from elsewhere, or says nothing of where it comes from.
    """
    if request.method in _SAFE or "cookie" not in request.headers or "authorization" in request.headers:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise CrossSite
        return
    origin = urlsplit(request.headers.get("origin", "")).netloc
    ours = {request.headers.get("host", ""), urlsplit(settings.public_url or "").netloc}
    if not origin or origin not in ours:
        raise CrossSite
