"""From a draft to a delivery plan: who, from which accounts, when."""

import math
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from carillon.audience.segments import api as segments
from carillon.audience.segments.errors import SegmentUnknown
from carillon.kernel.paging import PageRequest
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.catalog import CONNECTORS
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.delivery.contracts import Plan, PoolAccount, Schedule, Variant
from carillon.storage.database import Tx

from .contracts import Draft, ScheduleKind
from .errors import CampaignInvalid, NoAccounts

_USABLE = {
    AccountState.NEW,
    AccountState.SIGNING_IN,
    AccountState.ONLINE,
    AccountState.DEGRADED,
    AccountState.FLOODED,
}
_RATES = {"telegram": 30.0, "whatsapp": 80.0}
"""Messages a second of one account where its settings name none: the platforms' published limits."""
_OTHER_RATE = 10.0
_PAGE = 200
_FINEST = 100
"""Greatest relative weight of an account: pools are written out by weight."""


async def check(tx: Tx, draft: Draft) -> None:
    """Whether what the draft names is there.

    Raises:
        CampaignInvalid: The segment or an account is not.
        carillon.audience.segments.errors.RuleInvalid: The rule.
    """
    await _rule(tx, draft)
    if draft.account_ids is not None:
        known = {account.id for account in await _accounts(tx, draft.platforms)}
        unknown = [account_id for account_id in draft.account_ids if account_id not in known]
        if unknown:
            message = "There is no such account on these platforms."
            raise CampaignInvalid(message, place="account_ids", account_id=str(unknown[0]))


async def pool(tx: Tx, draft: Draft) -> list[accounts.Account]:
    """The accounts a campaign may use: on its platforms, chosen by id or label, and able to send."""
    return [account for account in await _accounts(tx, draft.platforms) if _chosen(draft, account)]


async def _accounts(tx: Tx, platforms: Sequence[str]) -> list[accounts.Account]:
    found: list[accounts.Account] = []
    for platform in platforms:
        cursor: str | None = None
        while True:
            wanted = accounts.AccountFilter(platform=platform)
            page = await accounts.list_accounts(tx, wanted, PageRequest(limit=_PAGE, cursor=cursor))
            found += [view.account for view in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    return found


def _chosen(draft: Draft, account: accounts.Account) -> bool:
    if account.state not in _USABLE or account.parked:
        return False
    connector = CONNECTORS.get(account.connector)
    if connector is not None and not connector.campaigns:
        return False
    if draft.account_ids is not None and account.id not in draft.account_ids:
        return False
    return not draft.account_labels or bool(set(draft.account_labels) & set(account.labels))


async def plan_of(tx: Tx, campaign_id: UUID, draft: Draft, now: datetime) -> Plan:
    """The plan the ledger understands, ready to be carried out.

    Raises:
        NoAccounts: The pool is empty.
        CampaignInvalid, RuleInvalid: The audience is gone.
    """
    found = await pool(tx, draft)
    if not found:
        raise NoAccounts(place="platforms")
    return await plan_for(tx, campaign_id, draft, found, now)


async def plan_for(tx: Tx, campaign_id: UUID, draft: Draft, members: Sequence[accounts.Account], now: datetime) -> Plan:
    """The plan with this pool, be it empty."""
    rule = await _rule(tx, draft)
    schedule = draft.schedule
    return Plan(
        campaign_id=campaign_id,
        members=segments.select_members(rule, at=now),
        platforms=draft.platforms,
        accounts=_weighted(members),
        variants=[Variant(variant.name, variant.weight, variant.texts) for variant in draft.variants],
        schedule=Schedule(
            at=now,
            local=schedule.at if schedule.kind is ScheduleKind.LOCAL else None,
            default_zone=schedule.zone,
        ),
        now=now,
    )


async def _rule(tx: Tx, draft: Draft) -> segments.Rule:
    if draft.segment_id is None:
        return await segments.resolve(tx, draft.rule)
    try:
        return await segments.rule_of(tx, draft.segment_id)
    except SegmentUnknown as error:
        raise CampaignInvalid("There is no such segment.", place="segment_id") from error


def rate_of(account: accounts.Account) -> float:
    """Messages a second the account may send."""
    configured = account.settings.get("rate_per_second")
    if isinstance(configured, int | float) and configured > 0:
        return float(configured)
    return _RATES.get(account.platform, _OTHER_RATE)


def _weighted(members: Sequence[accounts.Account]) -> list[PoolAccount]:
    """The pool, in the order of ids; each account's share is its rate's."""
    rates = {account.id: rate_of(account) for account in members}
    finest = max(max(rates.values(), default=1.0) / _FINEST, min(rates.values(), default=1.0))
    weights = {account_id: max(1, round(rate / finest * 4)) for account_id, rate in rates.items()}
    divisor = math.gcd(*weights.values()) if weights else 1
    return [
        PoolAccount(account.id, account.platform, weights[account.id] // divisor)
        for account in sorted(members, key=lambda account: account.id)
    ]
