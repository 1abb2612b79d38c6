"""What can be wrong with conversations.

ConversationNotFound, NoteNotFound, CannedReplyNotFound, ActionNotFound        404
ContactOptedOut, MessageIdTaken, ShortcutTaken, AlreadyUndone                  409
NotYourNote                                                                    403
BadAct, TooMany, UnknownAccount, UnknownContact                                400
"""

from carillon.kernel.errors import Conflict, Forbidden, Invalid, NotFound


class ConversationNotFound(NotFound):
    """There is no such conversation."""

    code = "conversation_not_found"


class NoteNotFound(NotFound):
    """There is no such note."""

    code = "note_not_found"


class CannedReplyNotFound(NotFound):
    """There is no such canned reply."""

    code = "canned_reply_not_found"


class ActionNotFound(NotFound):
    """There is no such bulk action."""

    code = "conversation_action_not_found"


class ContactOptedOut(Conflict):
    """This person asked us to stop writing to them."""

    code = "contact_opted_out"


class MessageIdTaken(Conflict):
    """That message id belongs to another message."""

    code = "message_id_taken"


class ShortcutTaken(Conflict):
    """Another canned reply has this shortcut."""

    code = "shortcut_taken"


class AlreadyUndone(Conflict):
    """That was undone before."""

    code = "already_undone"


class NotYourNote(Forbidden):
    """Only its author may change a note."""

    code = "not_your_note"


class BadAct(Invalid):
    """That cannot be done to a conversation."""

    code = "bad_act"


class TooMany(Invalid):
    """That would change too many conversations at once; narrow the filter."""

    code = "too_many_conversations"


class UnknownAccount(Invalid):
    """There is no such account."""

    code = "unknown_account"


class UnknownContact(Invalid):
    """There is no such contact."""

    code = "unknown_contact"
