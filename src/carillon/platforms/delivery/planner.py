"""Planning: one `INSERT … SELECT` turns the next slice of an audience into ledger rows.

A slice is bounded so that no transaction runs long (a long one holds every event consumer back), and the next one
starts after the last contact: a plan that was killed goes on where it stopped, and the unique index on
(campaign, contact) makes a repeated slice harmless. People who may not be messaged get a row too, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    SmallInteger,
    Subquery,
    Text,
    Uuid,
    and_,
    any_,
    case,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from carillon.events import outbox
from carillon.events.catalog.platforms import MessagesPlanned
from carillon.kernel.ids import uuid7
from carillon.ops import crash_points
from carillon.platforms.templates import api as templates
from carillon.storage.database import Tx

from .contracts import PRIORITY, MessageKind, MessageState, Plan, PlanStep, Review
from .models import contact_route, content, message

SLICE = 50_000
"""Contacts in one transaction: a second or so of work."""

_SHARES = 10_000
_POSITIVE = 0x7FFF_FFFF_FFFF_FFFF
_NEEDED = (
    "tenant_id",
    "id",
    "name",
    "first_name",
    "last_name",
    "fields",
    "language",
    "time_zone",
    "time_zones",
    "peers",
    "consents",
    "opted_out_at",
    "last_inbound_at",
)
_NOBODY = UUID(int=0)
_COLUMNS = {"name", "first_name", "last_name"}


@dataclass(frozen=True, slots=True)
class _Text:
    """A stored text of the plan."""

    id: UUID
    variant: str
    language: str
    required: tuple[str, ...]


async def write_contents(tx: Tx, plan: Plan) -> None:
    """Store what the campaign says; harmless when it is stored already.

    Raises:
        carillon.platforms.templates.errors.BadTemplate: A text is not a valid template.
    """
    if await tx.scalar(select(content.c.id).where(content.c.lane == plan.campaign_id).limit(1)):
        return
    rows = [
        {
            "tenant_id": tx.tenant,
            "id": uuid7(),
            "lane": plan.campaign_id,
            "variant": variant.name,
            "language": language.lower(),
            "text": body,
            "variables": list(templates.compile_text(body).required),
        }
        for variant in plan.variants
        for language, body in variant.texts.items()
    ]
    await tx.execute(insert(content), rows)


async def plan_slice(tx: Tx, plan: Plan, after: UUID | None, size: int = SLICE) -> PlanStep:
    """Write the ledger rows of the next contacts."""
    texts = await _stored_texts(tx, plan)
    # The slice is a range of ids found beforehand: so the statement below streams, and needs no sorted copy.
    last = await _end_of_slice(tx, plan.members, after, size)
    routed = _routed(plan, _members(tx.tenant, plan.members, after, last), texts)
    rows_in = insert(message).from_select(*_rows(plan, routed))
    if await _seen_before(tx, plan.campaign_id, after):
        # A slice that is repeated adds only who is new. Not always, because looking costs a fifth of the whole.
        rows_in = rows_in.on_conflict_do_nothing(
            index_elements=["tenant_id", "lane", "contact_id"], index_where=text("kind = 'campaign'")
        )
    written = rows_in.returning(message.c.state, message.c.reason).cte("written")
    counts = select(written.c.state, written.c.reason, func.count().label("count"))
    # The default of 4 MB would spill a slice to disk.
    await tx.execute("SET LOCAL work_mem = '64MB'")
    rows = await tx.all(counts.group_by(written.c.state, written.c.reason))
    planned = sum(row["count"] for row in rows if row["state"] == MessageState.QUEUED)
    suppressed = {row["reason"]: row["count"] for row in rows if row["state"] == MessageState.SUPPRESSED}
    if planned or suppressed:
        await outbox.append(
            tx,
            MessagesPlanned(campaign_id=plan.campaign_id, planned=planned, suppressed=sum(suppressed.values())),
        )
    crash_points.reached("plan.uncommitted")
    return PlanStep(after=last or after, done=last is None, planned=planned, suppressed=suppressed)


async def review(tx: Tx, plan: Plan) -> Review:
    """What the plan would do to whom, without writing anything."""
    texts = [
        _Text(uuid7(), variant.name, language.lower(), templates.compile_text(body).required)
        for variant in plan.variants
        for language, body in variant.texts.items()
    ]
    routed = _routed(plan, _members(tx.tenant, plan.members, None, None), texts)
    rows = await tx.all(
        select(routed.c.reason, routed.c.account_id, routed.c.variant, func.count().label("count")).group_by(
            routed.c.reason, routed.c.account_id, routed.c.variant
        )
    )
    excluded: dict[str, int] = {}
    accounts: dict[UUID, int] = {}
    variants: dict[str, int] = {}
    for row in rows:
        if row["reason"] is not None:
            excluded[row["reason"]] = excluded.get(row["reason"], 0) + row["count"]
            continue
        accounts[row["account_id"]] = accounts.get(row["account_id"], 0) + row["count"]
        variants[row["variant"]] = variants.get(row["variant"], 0) + row["count"]
    return Review(sum(row["count"] for row in rows), excluded, accounts, variants)


async def _stored_texts(tx: Tx, plan: Plan) -> list[_Text]:
    rows = await tx.all(
        select(content.c.id, content.c.variant, content.c.language, content.c.variables).where(
            content.c.tenant_id == tx.tenant, content.c.lane == plan.campaign_id
        )
    )
    return [_Text(row["id"], row["variant"], row["language"], tuple(row["variables"])) for row in rows]


def _members(tenant_id: UUID, members: Select[Any], after: UUID | None, last: UUID | None) -> Subquery:
    """The contacts of the audience after one id, up to another."""
    chosen = members.subquery("chosen")
    # The tenant is named although row-level security sees to it: the key's index starts with it.
    query = select(*[chosen.c[name] for name in _NEEDED]).where(chosen.c.tenant_id == tenant_id)
    if after is not None:
        query = query.where(chosen.c.id > after)
    if last is not None:
        query = query.where(chosen.c.id <= last)
    return query.subquery("member")


async def _seen_before(tx: Tx, campaign_id: UUID, after: UUID | None) -> bool:
    """Whether people behind this one have messages of the campaign already."""
    query = select(message.c.contact_id).where(
        message.c.tenant_id == tx.tenant,
        message.c.lane == campaign_id,
        message.c.kind == MessageKind.CAMPAIGN.value,
    )
    if after is not None:
        query = query.where(message.c.contact_id > after)
    return await tx.scalar(query.limit(1)) is not None


async def _end_of_slice(tx: Tx, members: Select[Any], after: UUID | None, size: int) -> UUID | None:
    """Id of the last contact of the next slice; None when fewer are left than a slice holds."""
    member = _members(tx.tenant, members, after, None)
    last: UUID | None = await tx.scalar(select(member.c.id).order_by(member.c.id).offset(size - 1).limit(1))
    return last


def _routed(plan: Plan, member: Subquery, texts: Sequence[_Text]) -> Subquery:
    """Each contact with its platform, account, variant, content and due time, or the reason why not."""
    placed = _placed(plan, _judged(plan, member))
    content_id = _content(placed, texts)
    chosen = select(placed, content_id.label("content_id"), _due(plan, placed).label("due_at")).subquery("chosen_text")
    reason = case(
        (chosen.c.verdict.isnot(None), chosen.c.verdict),
        (_lacks(chosen, texts), "missing_variable"),
        else_=None,
    )
    return select(chosen, reason.label("reason")).subquery("routed")


def _judged(plan: Plan, member: Subquery) -> Subquery:
    """Each contact with the first platform it may be reached on, or the verdict against it."""
    reachable = [name for name in plan.platforms if any(a.platform == name for a in plan.accounts)]
    if not reachable:
        nowhere = cast(None, Text)
        return select(member, nowhere.label("platform"), literal("no_account").label("verdict")).subquery("judged")
    verdicts = [
        func.audience.verdict(
            member.c.consents,
            member.c.opted_out_at,
            member.c.last_inbound_at,
            member.c.peers[name].astext,
            name,
            plan.purpose,
            cast(plan.now, DateTime(timezone=True)),
        ).label(f"verdict_{name}")
        for name in reachable
    ]
    # The fence (OFFSET 0) keeps PostgreSQL from judging again for every use of a verdict.
    judging = select(member, *verdicts).offset(0).subquery("judging")
    columns = [judging.c[verdict.name] for verdict in verdicts]
    allowed = [(column.is_(None), name) for name, column in zip(reachable, columns, strict=True)]
    # The most telling reason: to have no address on one network says little when another one refuses.
    telling = func.coalesce(*[func.nullif(column, "no_address") for column in columns], "no_address")
    refused = case((or_(*[column.is_(None) for column in columns]), None), else_=telling)
    return select(judging, case(*allowed, else_=None).label("platform"), refused.label("verdict")).subquery("judged")


def _placed(plan: Plan, judged: Subquery) -> Subquery:
    """Each contact with the account it is written from and the variant it gets.

    The account the person last wrote to, if it is in the pool; else one drawn by the hash of the contact, so that
    planning twice draws the same.
    """
    route = contact_route.alias("route")
    pools = _pools(plan)
    pool = select(literal(1), *[literal(ids, ARRAY(Uuid)).label(name) for name, ids in pools.items()]).cte("pool")
    accounts = case(
        *[
            (
                judged.c.platform == name,
                case(
                    (route.c.account_id == any_(pool.c[name]), route.c.account_id),
                    else_=pool.c[name][1 + _hash(judged.c.id, plan, 1) % len(ids)],
                ),
            )
            for name, ids in pools.items()
        ],
        (false(), cast(None, Uuid)),
        else_=None,
    )
    share = _hash(judged.c.id, plan, 2) % _SHARES
    variants = case(*[(share < bound, name) for name, bound in _bounds(plan)], else_=plan.variants[-1].name)
    peer = judged.c.peers[judged.c.platform].astext
    joined = judged.join(pool, true()).outerjoin(
        route,
        and_(
            route.c.tenant_id == judged.c.tenant_id,
            route.c.id == judged.c.id,
            route.c.platform == judged.c.platform,
        ),
    )
    return (
        select(judged, peer.label("peer"), accounts.label("account_id"), variants.label("variant"))
        .select_from(joined)
        .offset(0)
        .subquery("placed")
    )


def _pools(plan: Plan) -> dict[str, list[UUID]]:
    """Accounts per platform, each repeated by its weight."""
    pools: dict[str, list[UUID]] = {}
    for account in plan.accounts:
        pools.setdefault(account.platform, []).extend([account.id] * max(1, account.weight))
    return {name: pool for name, pool in pools.items() if name in plan.platforms}


def _bounds(plan: Plan) -> list[tuple[str, int]]:
    """Upper bound of each variant's shares, in order."""
    total = sum(variant.weight for variant in plan.variants)
    bounds, weight = [], 0
    for variant in plan.variants:
        weight += variant.weight
        bounds.append((variant.name, _SHARES * weight // total))
    return bounds


def _hash(column: ColumnElement[UUID], plan: Plan, salt: int) -> ColumnElement[int]:
    seed = (plan.campaign_id.int + salt) & _POSITIVE
    return func.uuid_hash_extended(column, cast(seed, BigInteger), type_=BigInteger).op("&")(
        cast(_POSITIVE, BigInteger)
    )


def _content(placed: Subquery, texts: Sequence[_Text]) -> ColumnElement[UUID]:
    """The text in the person's language (`zh-CN`, then `zh`), else the variant's text for everyone."""
    if not any(text.language for text in texts):
        return case(*[(placed.c.variant == text.variant, literal(text.id, Uuid)) for text in texts], else_=None)
    known = literal({f"{text.variant}:{text.language}": str(text.id) for text in texts}, JSONB)
    language = func.lower(func.coalesce(placed.c.language, ""))
    keys = (language, func.split_part(language, "-", 1), "")
    found = [func.jsonb_extract_path_text(known, placed.c.variant + ":" + key) for key in keys]
    return cast(func.coalesce(*found), Uuid)


def _lacks(chosen: Subquery, texts: Sequence[_Text]) -> ColumnElement[bool]:
    """Whether the person lacks a value that the text cannot do without."""
    return or_(
        false(),
        *[
            and_(chosen.c.content_id == text.id, or_(*[_absent(chosen, name) for name in text.required]))
            for text in texts
            if text.required
        ],
    )


def _absent(chosen: Subquery, variable: str) -> ColumnElement[bool]:
    area, _, key = variable.partition(".")
    if area == "fields":
        return func.coalesce(chosen.c.fields[key].astext, "") == ""
    if variable in _COLUMNS:
        return func.coalesce(chosen.c[variable], "") == ""
    return true()


def _due(plan: Plan, placed: Subquery) -> ColumnElement[datetime]:
    """When the message is due; a local time that has passed in the person's zone means the next day there."""
    schedule = plan.schedule
    if schedule.local is None:
        return cast(schedule.at, DateTime(timezone=True))
    zone = func.coalesce(placed.c.time_zone, placed.c.time_zones[1], schedule.default_zone)
    local = cast(schedule.local, DateTime(timezone=False))
    due = func.timezone(zone, local, type_=DateTime(timezone=True))
    tomorrow = func.timezone(zone, local + timedelta(days=1), type_=DateTime(timezone=True))
    return case((due >= cast(plan.now, DateTime(timezone=True)), due), else_=tomorrow)


def _rows(plan: Plan, routed: Subquery) -> tuple[list[str], Select[Any]]:
    """The ledger rows: queued ones, and suppressed ones with the reason."""
    sendable = routed.c.reason.is_(None)
    columns: dict[str, Any] = {
        "tenant_id": routed.c.tenant_id,
        "id": func.storage.uuid7(),
        "account_id": func.coalesce(routed.c.account_id, literal(_NOBODY, Uuid)),
        "contact_id": routed.c.id,
        "lane": literal(plan.campaign_id, Uuid),
        "platform": func.coalesce(routed.c.platform, ""),
        "peer": func.coalesce(routed.c.peer, ""),
        "kind": literal(MessageKind.CAMPAIGN.value),
        "priority": cast(PRIORITY[MessageKind.CAMPAIGN], SmallInteger),
        "content_id": routed.c.content_id,
        "variant": routed.c.variant,
        "state": case((sendable, MessageState.QUEUED.value), else_=MessageState.SUPPRESSED.value),
        "reason": routed.c.reason,
        "due_at": routed.c.due_at,
    }
    return list(columns), select(*[column.label(name) for name, column in columns.items()])
