"""Stop words as a tenant hears them: the built-in ones and its own, and how it confirms an opt-out."""

from . import stop_words
from .contracts import Policy
from .stop_words import Detection


def detect_opt_out(policy: Policy, text: str, *, hint: str | None = None) -> Detection | None:
    """Whether the whole message asks to stop, or to be written to again.

    Args:
        policy: The tenant's; its words count as stopping.
        text: The message as received.
        hint: The person's language, if known.
    """
    return stop_words.stop_words(policy.stop_words).detect(text, hint=hint)


def confirmation(policy: Policy, language: str | None) -> str:
    """The text that confirms an opt-out, in the language (BCP 47) of the word or of the person.

    The tenant's own text for the tag or the language it begins with, else the built-in one; English when there is
    none.
    """
    own = {tag.casefold(): text for tag, text in policy.confirmations.items()}
    parts = (language or "").casefold().split("-")
    for length in range(len(parts), 0, -1):
        if text := own.get("-".join(parts[:length])):
            return text
    return stop_words.confirmation(language)
