"""HTTP of segments."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .schemas import (
    CountOut,
    MemberOut,
    Platform,
    PreviewIn,
    PreviewOut,
    Purpose,
    ReachOut,
    SampleOut,
    SegmentChangeIn,
    SegmentIn,
    SegmentOut,
)

Reader = Annotated[Context, allow(Permission.SEGMENTS_READ)]
Writer = Annotated[Context, allow(Permission.SEGMENTS_WRITE)]

router = make_router("/segments", "segments")


@router.get("", summary="Segments, newest first")
async def list_segments(context: Reader, page: PageQuery) -> PageOut[SegmentOut]:
    """Stored rules."""
    found = await api.list_segments(context.tx, page)
    return PageOut(items=[SegmentOut.of(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, summary="Store a segment")
async def create_segment(context: Writer, body: SegmentIn) -> SegmentOut:
    """The rule is checked; faults name their place in it."""
    made = await api.create(context.tx, name=body.name, description=body.description, rule=body.rule)
    return SegmentOut.of(made)


@router.post("/preview", summary="Try a rule: how many, who for example, who may be written to")
async def preview_segment(context: Reader, body: PreviewIn) -> PreviewOut:
    """Nothing is stored."""
    tx, now = context.tx, context.resources.clock.now()
    rule = await api.resolve(tx, body.rule)
    count = await api.count(tx, rule, at=now)
    sample = await api.sample(tx, rule, at=now, size=body.sample) if body.sample else []
    reach = None
    if body.platform:
        reach = ReachOut.of(await api.reach(tx, rule, platform=body.platform, purpose=body.purpose, at=now))
    return PreviewOut(count=CountOut.of(count), sample=[MemberOut.of(member) for member in sample], reach=reach)


@router.get("/{segment_id}", summary="One segment")
async def get_segment(context: Reader, segment_id: UUID) -> SegmentOut:
    """With its rule."""
    return SegmentOut.of(await api.get(context.tx, segment_id))


@router.put("/{segment_id}", summary="Change a segment")
async def update_segment(context: Writer, segment_id: UUID, body: SegmentChangeIn) -> SegmentOut:
    """Refused when somebody else changed it since it was read."""
    changed = await api.update(
        context.tx,
        segment_id,
        version=body.version,
        name=body.name,
        description=body.description,
        rule=body.rule,
    )
    return SegmentOut.of(changed)


@router.delete("/{segment_id}", status_code=204, summary="Remove a segment")
async def delete_segment(context: Writer, segment_id: UUID) -> None:
    """Refused while other segments are built on it."""
    await api.delete(context.tx, segment_id)


@router.get("/{segment_id}/count", summary="How many people a segment means now")
async def count_segment(context: Reader, segment_id: UUID) -> CountOut:
    """Exact where that takes at most five seconds."""
    rule = await api.rule_of(context.tx, segment_id)
    return CountOut.of(await api.count(context.tx, rule, at=context.resources.clock.now()))


@router.get("/{segment_id}/sample", summary="Some of a segment's people")
async def sample_segment(
    context: Reader, segment_id: UUID, size: Annotated[int, Query(ge=1, le=100)] = 20
) -> SampleOut:
    """The newest."""
    rule = await api.rule_of(context.tx, segment_id)
    found = await api.sample(context.tx, rule, at=context.resources.clock.now(), size=size)
    return SampleOut(items=[MemberOut.of(member) for member in found])


@router.get("/{segment_id}/reach", summary="Who of a segment may be written to, and why others may not")
async def reach_of_segment(
    context: Reader, segment_id: UUID, platform: Platform, purpose: Purpose = "marketing"
) -> ReachOut:
    """By the same verdict that sending uses."""
    rule = await api.rule_of(context.tx, segment_id)
    now = context.resources.clock.now()
    return ReachOut.of(await api.reach(context.tx, rule, platform=platform, purpose=purpose, at=now))
