"""What can be wrong with a request to deliver."""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class MessageNotFound(NotFound):
    """There is no such message."""

    code = "message_not_found"


class ContactUnreachable(Conflict):
    """This person has no address on the account's platform."""

    code = "contact_unreachable"


class NotSendable(Conflict):
    """This person may not be messaged."""

    code = "not_sendable"


class EmptyMessage(Invalid):
    """A message needs a text."""

    code = "empty_message"


class MessageTooLong(Invalid):
    """The text is longer than the platform takes."""

    code = "message_too_long"


class NotCancellable(Conflict):
    """The message has left already or is about to."""

    code = "not_cancellable"


class NotResendable(Conflict):
    """Only a message whose outcome is unknown, or that failed, can be sent again by hand."""

    code = "not_resendable"


class UnknownAccount(Invalid):
    """There is no such account."""

    code = "unknown_account"
