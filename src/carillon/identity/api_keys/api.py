"""The door of API keys: credentials for programs.

Duties: make (the text is shown once), list, rename, revoke; tell who shows one. Only keyed hashes are stored.
A key never has more permissions than the person who made it.
"""

from carillon.identity.roles.api import read_permissions

from .service import authenticate_key, create_key, get_key, list_keys, rename_key, review_key, revoke_key

__all__ = [
    "authenticate_key",
    "create_key",
    "get_key",
    "list_keys",
    "read_permissions",
    "rename_key",
    "review_key",
    "revoke_key",
]
