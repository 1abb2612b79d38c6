"""From the ledger to `audience.contact.consents`: the newest statement about a platform decides.

A statement about `*` is a statement about every platform, so it replaces what was said about single ones before.
Of two statements of one moment the stricter decides. What counts is *when the person said it*, not when we
heard of it: folding is associative, commutative and idempotent, so entries may come late and in any order, and an
old list imported today cannot undo a withdrawal of last week.

A grant counts only with evidence (Compliance: an import without proof is not sendable): a proof, and a date that is
not in the future of its recording. A withdrawal always counts; one dated in the future counts from its recording.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from .contracts import EVERYWHERE, Action, ConsentEntry, Projection

_STATED = (Action.GRANTED, Action.WITHDRAWN)
_NEVER = "9999-12-31T23:59:59+00:00"


def counts(entry: ConsentEntry, recorded_at: datetime) -> bool:
    """Whether the entry has the evidence to change anything."""
    if entry.action != Action.GRANTED:
        return True
    return bool(entry.proof and entry.proof.strip()) and entry.at <= recorded_at


def project(entries: Iterable[ConsentEntry], recorded_at: datetime) -> dict[str, dict[str, dict[str, Any]]]:
    """The projection of one person's entries, for a contact that has none yet.

    Args:
        entries: Of one person, in any order; opt-outs and opt-ins are passed over.
        recorded_at: When they are written down, UTC-aware.
    """
    return fold({}, entries, recorded_at)


def fold(
    before: Projection, entries: Iterable[ConsentEntry], recorded_at: datetime
) -> dict[str, dict[str, dict[str, Any]]]:
    """The projection with more entries, all recorded at one time; `before` is left as it is."""
    after: dict[str, dict[str, dict[str, Any]]] = {
        purpose: {place: dict(said) for place, said in platforms.items()} for purpose, platforms in before.items()
    }
    for entry in entries:
        if entry.action in _STATED and counts(entry, recorded_at):
            _state(after.setdefault(str(entry.purpose), {}), entry, recorded_at)
    return after


def _state(platforms: dict[str, dict[str, Any]], entry: ConsentEntry, recorded_at: datetime) -> None:
    said = {
        "status": str(entry.action),
        # Whole seconds, rounded down: the form that the SQL function reads.
        "until": entry.expires_at and entry.expires_at.astimezone(UTC).isoformat(timespec="seconds"),
        "at": min(entry.at, recorded_at).astimezone(UTC).isoformat(timespec="microseconds"),
    }
    if not platforms:
        platforms[entry.platform] = said
        return
    weight = _weight(said)
    if any(_weight(platforms[place]) >= weight for place in (entry.platform, EVERYWHERE) if place in platforms):
        return
    if entry.platform == EVERYWHERE:
        for place in [place for place, other in platforms.items() if _weight(other) <= weight]:
            del platforms[place]
    platforms[entry.platform] = said


def _weight(said: Mapping[str, Any]) -> tuple[str, bool, float]:
    """Later weighs more; at one moment a withdrawal more than a grant, and a shorter grant more than a longer."""
    until = datetime.fromisoformat(said.get("until") or _NEVER)
    return said.get("at", ""), said["status"] == Action.WITHDRAWN, -until.timestamp()
