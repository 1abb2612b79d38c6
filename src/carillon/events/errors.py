"""What the spine can complain about."""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class BadEventCursor(Invalid):
    """The cursor is not one of ours; start again without it."""

    code = "bad_cursor"


class DeadLetterNotFound(NotFound):
    """There is no such dead letter."""

    code = "dead_letter_not_found"


class AlreadyReplayed(Conflict):
    """This event was replayed already."""

    code = "already_replayed"


class ConsumerGone(Conflict):
    """The consumer that failed on this event is no longer part of this program."""

    code = "consumer_gone"


class ReplayFailed(Conflict):
    """The consumer failed on this event again."""

    code = "replay_failed"
