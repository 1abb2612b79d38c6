"""Before the start: what it would do, and how it looks to one person."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

from carillon.audience.consents.contracts import TemplateData
from carillon.audience.contacts import api as contacts
from carillon.kernel.subject import Subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Draft as MessageDraft
from carillon.platforms.delivery.contracts import Message, MessageKind, Review
from carillon.platforms.templates import api as templates
from carillon.storage.database import Tx

from . import audience
from .contracts import CampaignReview
from .errors import CampaignInvalid
from .service import get

_SMALL_SHARE = 1_000
"""Messages per account above which a pool is called small."""


async def review(tx: Tx, campaign_id: UUID) -> CampaignReview:
    """What starting it now would do; planning uses the same query, so only what happens in between differs.

    Raises:
        CampaignNotFound: It is not there.
        CampaignInvalid, RuleInvalid: The audience is gone.
    """
    draft = (await get(tx, campaign_id)).draft
    pool = await audience.pool(tx, draft)
    found = await delivery.review(tx, await audience.plan_for(tx, campaign_id, draft, pool, datetime.now(UTC)))
    return CampaignReview(
        audience=found.audience,
        sendable=sum(found.by_account.values()),
        excluded=found.excluded,
        by_account=found.by_account,
        by_variant=found.by_variant,
        seconds=_seconds(pool, found),
        cost=_cost(pool, found),
        warnings=_warnings(pool, found),
    )


def _warnings(pool: list[accounts.Account], found: Review) -> tuple[str, ...]:
    sendable = sum(found.by_account.values())
    holds = {
        "nobody": sendable == 0,
        "no_accounts": not pool,
        "small_pool": bool(pool) and sendable / len(pool) > _SMALL_SHARE,
        "many_excluded": sendable < found.audience / 2,
    }
    return tuple(code for code, applies in holds.items() if applies)


def _seconds(pool: list[accounts.Account], found: Review) -> float | None:
    """The slowest account decides."""
    rates = {account.id: audience.rate_of(account) for account in pool}
    return max((count / rates[account_id] for account_id, count in found.by_account.items()), default=None)


def _cost(pool: list[accounts.Account], found: Review) -> dict[str, Decimal]:
    """By currency, of the accounts whose settings name a `price` per message.

    It looks like `{"amount": "0.07", "currency": "EUR"}`.
    """
    prices = {account.id: price for account in pool if (price := _price(account)) is not None}
    cost: dict[str, Decimal] = {}
    for account_id, count in found.by_account.items():
        if account_id in prices:
            currency, amount = prices[account_id]
            cost[currency] = cost.get(currency, Decimal(0)) + amount * count
    return cost


def _price(account: accounts.Account) -> tuple[str, Decimal] | None:
    price = account.settings.get("price")
    if not isinstance(price, dict) or not isinstance(price.get("currency"), str):
        return None
    try:
        amount = Decimal(str(price.get("amount")))
    except InvalidOperation:
        return None
    return (price["currency"], amount) if amount.is_finite() else None


async def send_test(
    tx: Tx,
    subject: Subject,
    campaign_id: UUID,
    *,
    contact_id: UUID,
    variant: str,
    language: str | None,
    account_id: UUID,
) -> Message:
    """Send one variant to one person who has agreed to be written to, in `language`, or their own if it is None.

    Raises:
        CampaignNotFound, CampaignInvalid: The variant.
        ContactNotFound: The person.
        MissingVariable, NotSendable, ContactUnreachable, UnknownAccount: The person or account.
    """
    campaign = await get(tx, campaign_id)
    texts = {one.name: one.texts for one in campaign.draft.variants}.get(variant)
    if texts is None:
        raise CampaignInvalid("There is no such variant.", place="variant")
    person = await contacts.get(tx, contact_id)
    text = texts[templates.choose_language(texts, person.language if language is None else language)]
    data = TemplateData(person.name, person.first_name, person.last_name, person.fields)
    body = templates.compile_text(text).render(templates.variables_of(data))
    message = MessageDraft(account_id, contact_id, body, MessageKind.TEST, actor_id=subject.id)
    return await delivery.accept(tx, message)
