"""What API keys can complain about.

CarillonError
├── NotFound  ApiKeyNotFound
└── Invalid   ExpiryPast
"""

from carillon.kernel.errors import Invalid, NotFound


class ApiKeyNotFound(NotFound):
    """There is no such API key."""

    code = "api_key_not_found"


class ExpiryPast(Invalid):
    """A key must expire in the future."""

    code = "expiry_past"
