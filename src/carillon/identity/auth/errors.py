"""What sign-in can complain about.

CarillonError
├── Unauthenticated  SecondFactorRequired · SecondFactorInvalid · NotAMember
├── Invalid          PasswordTooWeak · PasswordWrong · CodeInvalid
├── NotFound         SessionNotFound
├── Conflict         SecondFactorActive · SecondFactorInactive
└── Unavailable      SignInBusy

See also `carillon.identity.errors` for the reasons that keys share.
"""

from carillon.kernel.errors import Conflict, Invalid, NotFound, Unauthenticated, Unavailable


class SecondFactorRequired(Unauthenticated):
    """The password is right; send the code of your second factor too."""

    code = "second_factor_required"


class SecondFactorInvalid(Unauthenticated):
    """The code is wrong, too old or used already."""

    code = "second_factor_invalid"


class NotAMember(Unauthenticated):
    """You are no member of that tenant."""

    code = "not_a_member"


class PasswordTooWeak(Invalid):
    """Choose another password."""

    code = "password_too_weak"


class PasswordWrong(Invalid):
    """The present password is not right."""

    code = "password_wrong"


class CodeInvalid(Invalid):
    """The code is wrong or too old: check the clock of your device."""

    code = "code_invalid"


class SessionNotFound(NotFound):
    """You have no such session."""

    code = "session_not_found"


class SecondFactorActive(Conflict):
    """You have a second factor already; turn it off first."""

    code = "second_factor_active"


class SecondFactorInactive(Conflict):
    """You have no second factor, or did not begin to set one up."""

    code = "second_factor_inactive"


class SignInBusy(Unavailable):
    """Too many people sign in at this moment; try again."""

    code = "sign_in_busy"
