"""A tenant's rules of contact: quiet hours, frequency cap, stop words of its own, texts of the confirmation."""

from datetime import time
from zoneinfo import ZoneInfo

from carillon.identity.audit import api as audit
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx

from . import repository
from .contracts import Policy
from .errors import BadPolicy

_MOST_WORDS = 200
_LONGEST_WORD = 40
_MOST_TEXTS = 100
_LONGEST_TEXT = 1000
_MOST_MESSAGES = 1000
_MOST_DAYS = 365


async def get_policy(tx: Tx) -> Policy:
    """The tenant's policy, or the defaults."""
    return await repository.policy(tx) or Policy()


async def set_policy(tx: Tx, subject: Subject, policy: Policy) -> None:
    """Replace the tenant's policy, on record.

    Raises:
        BadPolicy: A value will not do; `place` says which.
    """
    check(policy)
    before = await get_policy(tx)
    await repository.save_policy(tx, policy)
    await audit.record(tx, subject, "policy.changed", tx.tenant, {"before": _plain(before), "after": _plain(policy)})


def check(policy: Policy) -> None:
    """Refuse a policy that cannot be followed.

    Raises:
        BadPolicy: See `set_policy`.
    """
    for place, moment in (("quiet_start", policy.quiet_start), ("quiet_end", policy.quiet_end)):
        if moment.tzinfo or moment != time(moment.hour, moment.minute):
            raise BadPolicy("Quiet hours are local times in whole minutes.", place=place)
    if policy.frequency_max is not None and not 1 <= policy.frequency_max <= _MOST_MESSAGES:
        raise BadPolicy(f"The cap is 1 to {_MOST_MESSAGES} messages, or none.", place="frequency_max")
    if not 1 <= policy.frequency_days <= _MOST_DAYS:
        raise BadPolicy(f"The cap counts over 1 to {_MOST_DAYS} days.", place="frequency_days")
    try:
        ZoneInfo(policy.time_zone)
    except (ValueError, OSError, KeyError) as error:
        raise BadPolicy("There is no such time zone.", place="time_zone") from error
    _check_texts(policy)


def _check_texts(policy: Policy) -> None:
    if len(policy.stop_words) > _MOST_WORDS:
        raise BadPolicy(f"At most {_MOST_WORDS} words.", place="stop_words")
    for index, word in enumerate(policy.stop_words):
        if not 0 < len(word.strip()) <= _LONGEST_WORD or not word.isprintable():
            raise BadPolicy(f"A word has 1 to {_LONGEST_WORD} printable characters.", place=f"stop_words[{index}]")
    if len(policy.confirmations) > _MOST_TEXTS:
        raise BadPolicy(f"At most {_MOST_TEXTS} texts.", place="confirmations")
    for language, text in policy.confirmations.items():
        if not text.strip() or len(text) > _LONGEST_TEXT or "\0" in text or not language.isprintable():
            raise BadPolicy(f"A text has 1 to {_LONGEST_TEXT} characters.", place=f"confirmations.{language[:20]}")


def _plain(policy: Policy) -> dict[str, object]:
    return {
        "quiet_start": policy.quiet_start.isoformat("minutes"),
        "quiet_end": policy.quiet_end.isoformat("minutes"),
        "frequency_max": policy.frequency_max,
        "frequency_days": policy.frequency_days,
        "time_zone": policy.time_zone,
        "stop_words": list(policy.stop_words),
        "confirmations": dict(policy.confirmations),
    }
