"""What users can complain about.

CarillonError
├── NotFound   UserNotFound · InvitationNotFound
├── Invalid    EmailInvalid · ProfileInvalid · InvitationInvalid
└── Conflict   AlreadyMember · LastOwner · EmailTaken
"""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class UserNotFound(NotFound):
    """There is no such user."""

    code = "user_not_found"


class InvitationNotFound(NotFound):
    """There is no such invitation."""

    code = "invitation_not_found"


class EmailInvalid(Invalid):
    """That is not an e-mail address."""

    code = "email_invalid"


class ProfileInvalid(Invalid):
    """The language or time zone is not one we know."""

    code = "profile_invalid"


class InvitationInvalid(Invalid):
    """The invitation is unknown, used, withdrawn or too old; ask for a new one."""

    code = "invitation_invalid"


class AlreadyMember(Conflict):
    """They are a member already."""

    code = "already_member"


class LastOwner(Conflict):
    """A tenant needs an owner: make somebody else owner first."""

    code = "last_owner"


class EmailTaken(Conflict):
    """Somebody with this e-mail address has an account already: they accept with their own password."""

    code = "email_taken"
