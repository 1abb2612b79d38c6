"""Stored segments, and what a rule comes to: how many, who for example, and who of them may be written to."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx

from . import attributes, repository, rules
from .compiling import membership, select_members
from .contracts import Count, Member, Reach, Segment
from .errors import RuleInvalid, SegmentChanged, SegmentCycle, SegmentInUse, SegmentUnknown
from .models import contact
from .rules import Rule

_MOST_CONDITIONS = 1000
_COUNT_SECONDS = 5.0


async def resolve(tx: Tx, raw: Any, *, inside: tuple[UUID, ...] = ()) -> Rule:
    """The rule of a JSON value, with every segment it names put in its place: ready for `select_members`.

    Args:
        tx: The tenant's transaction.
        raw: As a client wrote it.
        inside: The segments whose rule this is, outermost first.

    Raises:
        RuleInvalid: The rule is wrong, names a segment that does not exist, or is too large with all it names.
        SegmentCycle: A segment would contain itself.
    """
    rule = await _resolve(tx, raw, inside)
    if sum(1 for _ in rules.conditions(rule)) > _MOST_CONDITIONS:
        message = f"With the segments it is built on, a rule has at most {_MOST_CONDITIONS} conditions."
        raise RuleInvalid(message, place="rule")
    return rule


async def _resolve(tx: Tx, raw: Any, inside: tuple[UUID, ...]) -> Rule:
    rule = rules.parse(raw)
    wanted = rules.references(rule)
    if not wanted:
        return rule
    if not wanted.isdisjoint(inside) or len(inside) > rules.DEEPEST:
        raise SegmentCycle(place="rule", segments=[str(segment_id) for segment_id in inside])
    found = await repository.rules_of(tx, wanted)
    missing = wanted - found.keys()
    if missing:
        raise RuleInvalid("It names a segment that does not exist.", place="rule", segment=str(min(missing)))
    parts = {segment_id: await _resolve(tx, part, (*inside, segment_id)) for segment_id, part in found.items()}
    return rules.put_in_place(rule, parts)


async def create(tx: Tx, *, name: str, rule: Mapping[str, Any], description: str = "") -> Segment:
    """Store a segment.

    Raises:
        RuleInvalid: See `resolve`.
        SegmentNameTaken: Another has the name.
    """
    await repository.lock_all(tx)
    await resolve(tx, rule)
    return await repository.insert(tx, uuid7(), name=name, description=description, rule=rule)


async def update(
    tx: Tx, segment_id: UUID, *, version: int, name: str, rule: Mapping[str, Any], description: str = ""
) -> Segment:
    """Change a segment as a whole; `version` is the one that was read.

    Raises:
        SegmentUnknown: No such segment.
        SegmentChanged: It has another version by now.
        RuleInvalid: See `resolve`.
        SegmentCycle: It would contain itself.
        SegmentNameTaken: Another has the name.
    """
    await repository.lock_all(tx)
    await resolve(tx, rule, inside=(segment_id,))
    changed = await repository.update(tx, segment_id, version=version, name=name, description=description, rule=rule)
    if changed is None:
        present = await get(tx, segment_id)
        raise SegmentChanged(version=present.version)
    return changed


async def get(tx: Tx, segment_id: UUID) -> Segment:
    """One segment.

    Raises:
        SegmentUnknown: No such segment.
    """
    found = await repository.get(tx, segment_id)
    if found is None:
        raise SegmentUnknown(segment_id=str(segment_id))
    return found


async def list_segments(tx: Tx, page: PageRequest) -> Page[Segment]:
    """Segments, newest first.

    Raises:
        BadCursor: The cursor is not ours.
    """
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    found = await repository.page_of(tx, before=before, limit=page.limit + 1)
    more = len(found) > page.limit
    found = found[: page.limit]
    return Page(found, encode_cursor(str(found[-1].id)) if more else None)


async def delete(tx: Tx, segment_id: UUID) -> None:
    """Remove a segment.

    Raises:
        SegmentUnknown: No such segment.
        SegmentInUse: Others are built on it.
    """
    await repository.lock_all(tx)
    users = await repository.users_of(tx, segment_id)
    if users:
        raise SegmentInUse(segments=users[:20])
    if not await repository.delete(tx, segment_id):
        raise SegmentUnknown(segment_id=str(segment_id))


async def rule_of(tx: Tx, segment_id: UUID) -> Rule:
    """A stored segment's rule, ready for `select_members`.

    Raises:
        SegmentUnknown: No such segment.
        RuleInvalid: It names an attribute that is no longer known.
    """
    segment = await get(tx, segment_id)
    return await resolve(tx, segment.rule, inside=(segment_id,))


async def count(tx: Tx, rule: Rule, *, at: datetime, seconds: float = _COUNT_SECONDS) -> Count:
    """How many people a rule means: exact within `seconds`, else the planner's guess."""
    where = membership(rule, at=at)
    total = await repository.count_within(tx, select(func.count()).select_from(contact).where(*where), seconds=seconds)
    if total is not None:
        return Count(total, exact=True)
    return Count(await repository.estimate(tx, select(contact.c.id).where(*where)), exact=False)


async def sample(tx: Tx, rule: Rule, *, at: datetime, size: int = 20) -> list[Member]:
    """Some people a rule means, the newest."""
    query = select_members(rule, at=at).order_by(contact.c.id.desc()).limit(size)
    return [
        Member(row["id"], row["name"], row["language"], row["country"], tuple(row["tags"]))
        for row in await tx.all(query)
    ]


async def reach(tx: Tx, rule: Rule, *, platform: str, purpose: str, at: datetime) -> Reach:
    """Who of a rule's people may be written to, and why the others may not: by the verdict that sending uses."""
    reason = attributes.verdict(platform, purpose, at)
    query = (
        select(reason.label("reason"), func.count().label("people")).where(*membership(rule, at=at)).group_by(reason)
    )
    people = {row["reason"]: row["people"] for row in await tx.all(query)}
    sendable = people.pop(None, 0)
    return Reach(platform, purpose, sendable, dict(sorted(people.items())))
