"""Operators are told what needs a person: accounts that stopped, campaigns that paused themselves, dead letters.

Told together: what happens within `WINDOW` makes one notice for each kind and tenant, so that four hundred accounts
banned at once are one mail. The job of a window is queued in the transaction that saw its first event, so a notice
outlives every process.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from carillon.events import history
from carillon.events.catalog.base import Event
from carillon.events.catalog.platforms import AccountStateChanged
from carillon.events.catalog.scheduling import CampaignChanged
from carillon.events.consumer import Consumer, Recorded
from carillon.gateway.manifest import Manifest
from carillon.kernel.paging import PageRequest
from carillon.ops.notices import Notice, make_notifier
from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx
from carillon.storage.jobs import Job, Timed, enqueue
from carillon.storage.resources import Resources

WINDOW = timedelta(minutes=5)
JOB = "notice.tell"
_SHOWN = 10
_STOPPED = (AccountState.BANNED, AccountState.RESTRICTED, AccountState.SIGNED_OUT)


def _account_line(event: Event) -> str | None:
    if not isinstance(event, AccountStateChanged) or event.state not in _STOPPED:
        return None
    return f"account {event.account_id} is {event.state.replace('_', ' ')}: {event.reason}"


def _campaign_line(event: Event) -> str | None:
    # One that a person paused has no reason.
    if not isinstance(event, CampaignChanged) or event.state != "paused" or event.reason is None:
        return None
    return f"campaign {event.campaign_id} paused itself: {event.reason}"


KINDS: Mapping[str, tuple[str, Callable[[Event], str | None], str]] = {
    AccountStateChanged.type: ("Accounts stopped", _account_line, "docs/guide/runbook/accounts-stopped.md"),
    CampaignChanged.type: ("Campaigns paused themselves", _campaign_line, "docs/guide/running-a-campaign.md"),
}
"""Event → title, its line (None for what needs nobody), and the page that helps."""


async def notice_events(_resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
    """Queue the notice of each window in which something happened."""
    windows = {
        (one.event.type, _window(one.occurred_at)) for one in events if KINDS[one.event.type][1](one.event) is not None
    }
    for kind, start in sorted(windows):
        payload = {"kind": kind, "since": start.isoformat()}
        await enqueue(tx, JOB, payload, execute_after=start + WINDOW, dedupe_key=f"{kind}:{start.timestamp():.0f}")


def _window(at: datetime) -> datetime:
    seconds = WINDOW.total_seconds()
    return datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)


async def tell(resources: Resources, tenant_id: UUID, payload: Mapping[str, Any]) -> None:
    """Tell operators what happened in one window."""
    title, line_of, page = KINDS[payload["kind"]]
    since = datetime.fromisoformat(payload["since"])
    async with resources.database.transaction(tenant_id) as tx:
        found = await history.list_events(
            tx, PageRequest(limit=200), kind=payload["kind"], since=since, until=since + WINDOW
        )
    lines = [line for one in reversed(found.items) if (line := line_of(one.event)) is not None]
    if lines:
        text = _text(lines, f"Tenant {tenant_id}. See {page}.", more=found.next_cursor is not None)
        await make_notifier(resources.settings).notify(Notice(f"{title}: {len(lines)}", text, urgent=True))


def _text(lines: Sequence[str], about: str, *, more: bool) -> str:
    rest = len(lines) - _SHOWN
    tail = [f"and {rest} more"] if rest > 0 else []
    tail += ["and others"] if more else []
    return "\n".join([*lines[:_SHOWN], *tail, about])


async def tell_dead_letters(resources: Resources) -> None:
    """Tell operators which consumers gave events up in the last window."""
    until = _window(resources.clock.now())
    async with resources.database.across_tenants() as tx:
        rows = await tx.all(
            "SELECT consumer, count(*) AS events, max(error_class) AS error FROM events.dead_letter "
            "WHERE failed_at >= :since AND failed_at < :until GROUP BY consumer ORDER BY consumer",
            {"since": until - WINDOW, "until": until},
        )
    lines = [f"{row['consumer']} gave up {row['events']} events: {row['error']}" for row in rows]
    if lines:
        text = _text(lines, "See docs/guide/runbook/dead-letters.md.", more=False)
        await make_notifier(resources.settings).notify(Notice(f"Dead letters: {len(lines)} consumers", text))


manifest = Manifest(
    "notices",
    consumers=(Consumer("runtime.notices.events", (AccountStateChanged, CampaignChanged), notice_events, start="now"),),
    jobs=(Job(JOB, tell, timeout=60.0),),
    timed=(Timed("notice.dead_letters", "*/5 * * * *", tell_dead_letters),),
)
