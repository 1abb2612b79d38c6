"""The session cookie."""

from urllib.parse import urlsplit

from fastapi import Request, Response

from carillon.ops.settings import Settings

from .sessions import ABSOLUTE


def _is_https(settings: Settings) -> bool:
    return urlsplit(settings.public_url or "").scheme == "https"


def cookie_name(settings: Settings) -> str:
    """With https the prefix makes browsers refuse it from subdomains and plain connections (RFC 6265bis, 4.1.3)."""
    return "__Host-carillon" if _is_https(settings) else "carillon"


def read_cookie(request: Request, settings: Settings) -> str | None:
    """The cookie's value, if the browser sent one."""
    return request.cookies.get(cookie_name(settings))


def set_cookie(response: Response, settings: Settings, token: str) -> None:
    """Hand a session to the browser: no script can read it, no other site can send it along with a change."""
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=int(ABSOLUTE.total_seconds()),
        path="/",
        secure=_is_https(settings),
        httponly=True,
        samesite="lax",
    )


def clear_cookie(response: Response, settings: Settings) -> None:
    """Make the browser forget it."""
    response.delete_cookie(cookie_name(settings), path="/", secure=_is_https(settings), httponly=True, samesite="lax")
