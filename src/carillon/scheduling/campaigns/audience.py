"""From a draft to a delivery plan: who, from which accounts, when."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.audience.segments import api as segments
from carillon.kernel.paging import PageRequest
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Plan, PoolAccount, Schedule, Variant
from carillon.storage.database import Tx

from .contracts import Campaign, CampaignReview, Draft, ScheduleKind

_USABLE = {
    AccountState.NEW,
    AccountState.SIGNING_IN,
    AccountState.ONLINE,
    AccountState.DEGRADED,
    AccountState.FLOODED,
}
_RATES = {"telegram": 30.0, "whatsapp": 80.0}
"""Messages a second of one account where its settings name none: the published limits (PLATFORMS)."""
_SMALLEST_SHARE = 1_000


async def pool(tx: Tx, draft: Draft) -> list[accounts.Account]:
    """The accounts a campaign may use: on its platforms, chosen by id or label, and able to send."""
    found: list[accounts.Account] = []
    for platform in draft.platforms:
        cursor: str | None = None
        while True:
            wanted = accounts.AccountFilter(platform=platform)
            page = await accounts.list_accounts(tx, wanted, PageRequest(limit=200, cursor=cursor))
            found += [view.account for view in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    return [account for account in found if _chosen(draft, account)]


def _chosen(draft: Draft, account: accounts.Account) -> bool:
    if account.state not in _USABLE or account.parked:
        return False
    if draft.account_ids is not None and account.id not in draft.account_ids:
        return False
    return not draft.account_labels or bool(set(draft.account_labels) & set(account.labels))


async def plan_of(tx: Tx, campaign_id: UUID, draft: Draft, now: datetime) -> Plan:
    """The plan the ledger understands.

    Raises:
        carillon.audience.segments.errors.SegmentUnknown, RuleInvalid: The audience.
    """
    rule = (
        await segments.rule_of(tx, draft.segment_id)
        if draft.segment_id is not None
        else await segments.resolve(tx, draft.rule)
    )
    policy = await consents.get_policy(tx)
    schedule = draft.schedule
    local = schedule.at.replace(tzinfo=None) if schedule.kind is ScheduleKind.LOCAL and schedule.at else None
    return Plan(
        campaign_id=campaign_id,
        members=segments.select_members(rule, at=now),
        platforms=draft.platforms,
        accounts=[
            PoolAccount(account.id, account.platform, max(1, round(_rate(account)))) for account in await pool(tx, draft)
        ],
        variants=[Variant(variant.name, variant.weight, variant.texts) for variant in draft.variants],
        schedule=Schedule(at=now, local=local, default_zone=schedule.zone or policy.time_zone),
        now=now,
    )


async def review(tx: Tx, campaign: Campaign, now: datetime) -> CampaignReview:
    """What starting the campaign would do, without doing it."""
    plan = await plan_of(tx, campaign.id, campaign.draft, now)
    found = await delivery.review(tx, plan)
    sendable = sum(found.by_account.values())
    members = {account.id: account for account in await pool(tx, campaign.draft)}
    warnings = [
        code
        for code, holds in (
            ("nobody", sendable == 0),
            ("no_accounts", not members),
            ("small_pool", bool(members) and sendable / len(members) > _SMALLEST_SHARE),
            ("many_excluded", found.audience > 0 and sendable < found.audience / 2),
        )
        if holds
    ]
    return CampaignReview(
        audience=found.audience,
        sendable=sendable,
        excluded=found.excluded,
        by_account=found.by_account,
        by_variant=found.by_variant,
        seconds=_seconds(members, found.by_account),
        cost=_cost(members, found.by_account),
        warnings=tuple(warnings),
    )


def _rate(account: accounts.Account) -> float:
    """Messages a second the account may send."""
    configured = account.settings.get("rate_per_second")
    if isinstance(configured, int | float) and configured > 0:
        return float(configured)
    return _RATES.get(account.platform, 10.0)


def _seconds(members: dict[UUID, accounts.Account], counts: "dict[UUID, int] | object") -> float | None:
    """The slowest account decides."""
    assert isinstance(counts, dict)
    durations = [count / _rate(members[account_id]) for account_id, count in counts.items() if account_id in members]
    return max(durations) if durations else None


def _cost(members: dict[UUID, accounts.Account], counts: "dict[UUID, int] | object") -> dict[str, Decimal]:
    """By currency, of the accounts that name a price per message."""
    assert isinstance(counts, dict)
    cost: dict[str, Decimal] = {}
    for account_id, count in counts.items():
        price = members[account_id].settings.get("price") if account_id in members else None
        if isinstance(price, dict):
            currency = str(price["currency"])
            cost[currency] = cost.get(currency, Decimal(0)) + Decimal(str(price["amount"])) * count
    return cost
