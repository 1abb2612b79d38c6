"""The door of users: people, and which of them belong to this tenant with which role.

Duties: members (list, change role, suspend, resume, remove), invitations, profiles. It keeps two rules everywhere:
nobody decides over permissions that they lack, and a tenant keeps an active owner.
It must not handle passwords or second factors (auth does), and never shows anybody who is not a member here.
"""

from .emails import normalise_email
from .invitations import (
    consume,
    invite,
    list_invitations,
    open_invitation,
    purge_invitations,
    read_invitation_token,
    withdraw,
)
from .service import (
    add_user,
    change_role,
    check_profile,
    get_member,
    join,
    list_members,
    purge_orphans,
    remove,
    resume,
    suspend,
    update_profile,
)

__all__ = [
    "add_user",
    "change_role",
    "check_profile",
    "consume",
    "get_member",
    "invite",
    "join",
    "list_invitations",
    "list_members",
    "normalise_email",
    "open_invitation",
    "purge_invitations",
    "purge_orphans",
    "read_invitation_token",
    "remove",
    "resume",
    "suspend",
    "update_profile",
    "withdraw",
]
