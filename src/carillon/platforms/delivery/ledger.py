"""The ledger's own transitions: authorise → (wire) → settle, and recovery after a crash.

Each function is one transaction's work inside one tenant; the caller opens it. Nothing here talks to a platform.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Policy, Standing
from carillon.audience.contacts import api as contacts
from carillon.events import outbox
from carillon.events.catalog.platforms import CampaignMessagesSent, MessageChanged
from carillon.platforms.templates import api as templates
from carillon.storage.database import Tx

from . import leases, repository
from .contracts import DIRECT_LANE, Lease, MessageKind, MessageState
from .daily import Admission, DailyWindow, load
from .repository import DueRow, Outcome

_MARKETING = {MessageKind.CAMPAIGN, MessageKind.TEST}
_ANSWERS = {MessageKind.REPLY, MessageKind.CONFIRMATION}


class Ready(NamedTuple):
    """A message that may go on the wire now.

    Attributes:
        text: What to say, rendered.
        epoch: Fences the settlement.
        resends: How often it was sent again with the same key.
    """

    row: DueRow
    text: str
    epoch: int
    resends: int = 0


def purpose_of(kind: MessageKind) -> str:
    """The purpose whose consent a kind of message needs."""
    return "marketing" if kind in _MARKETING else "service"


async def authorise(
    tx: Tx,
    worker_id: UUID,
    rows: Sequence[DueRow],
    epochs: Mapping[UUID, int],
    now: datetime,
    daily: Mapping[UUID, DailyWindow] = MappingProxyType({}),
) -> list[Ready]:
    """Decide, in one transaction with all locks held, which of the rows may be sent, and write that intent.

    Checked again, whatever planning found: the account's lease, the campaign's gate, opt-out and consent, quiet
    hours, the frequency cap and how many people a day the account may write to. What may not be sent is suppressed,
    what may not be sent yet becomes due later.

    Args:
        tx: Inside the tenant of all rows.
        worker_id: The process that owns the accounts.
        rows: Queued messages, at most some hundreds.
        epochs: Lease epoch per account.
        now: By the database's clock: quiet hours must not depend on whose process sends.
        daily: The windows of the accounts whose platform limits the people a day.
    """
    mine = await leases.held(
        tx, worker_id, [Lease(tx.tenant, account, epochs[account]) for account in {r.account_id for r in rows}]
    )
    lanes = await repository.running_lanes(tx, [*{r.lane for r in rows if r.lane != DIRECT_LANE}]) | {DIRECT_LANE}
    candidates = [row for row in rows if row.account_id in mine and row.lane in lanes]
    if not candidates:
        return []
    batch = await _gather(tx, candidates, now, daily)
    go: list[Ready] = []
    refused: list[tuple[UUID, str]] = []
    later: list[tuple[UUID, datetime]] = []
    for row in candidates:
        decision = batch.decide(row)
        if isinstance(decision, str):
            refused.append((row.id, decision))
        elif isinstance(decision, datetime):
            later.append((row.id, decision))
        else:
            go.append(Ready(row, decision.text, epochs[row.account_id]))
    if refused:
        await announce(tx, await repository.suppress(tx, refused))
    if later:
        await repository.defer(tx, later)
    if not go:
        return []
    # In the order of their ids, as all who change many of them do: so they wait for each other and never deadlock.
    intents = [(ready.row.id, ready.epoch, ready.text) for ready in sorted(go, key=_by_id)]
    marked = await repository.mark_sending(tx, intents)
    return go if len(marked) == len(go) else [ready for ready in go if ready.row.id in marked]


async def recheck(tx: Tx, worker_id: UUID, flying: Sequence[Ready], now: datetime) -> list[Ready]:
    """Of messages in `sending` that are to be sent again, those that still may be.

    The others may have been accepted the first time: they become `unknown`, since they must not be resent to find
    out.
    """
    mine = await leases.held(tx, worker_id, [*{Lease(tx.tenant, r.row.account_id, r.epoch) for r in flying}])
    own = [ready for ready in flying if ready.row.account_id in mine]
    if not own:
        return []
    rows = [ready.row for ready in own]
    standings = await _standings(tx, rows, now)
    strayed = await _strayed(tx, rows, standings)
    stopped = [
        ready
        for ready in own
        if ready.row.id in strayed or _refusal(ready.row, standings[ready.row.kind, ready.row.contact_id])
    ]
    if stopped:
        text = "The person may no longer be messaged, so whether the first attempt arrived was not tried out."
        unknown = [Outcome(r.row.id, r.epoch, MessageState.UNKNOWN, "not_sendable_any_more", text) for r in stopped]
        await announce(tx, await repository.settle(tx, unknown))
    return [ready for ready in own if ready not in stopped]


async def quiet_until(tx: Tx, row: DueRow, now: datetime) -> datetime | None:
    """When a message that is to be sent again may be, if it may not disturb now."""
    if row.kind is not MessageKind.CAMPAIGN:
        return None
    standing = (await _standings(tx, [row], now))[row.kind, row.contact_id]
    return consents.quiet_until(await consents.get_policy(tx), standing.time_zones, now)


class Settlement(NamedTuple):
    """What `settle` wrote.

    Attributes:
        sent: Those that were accepted and ours to change.
        early: Statuses may have come for them before we knew the platform's ids.
    """

    sent: list[tuple[Ready, Outcome]]
    early: bool = False


async def settle(tx: Tx, settled: Sequence[tuple[Ready, Outcome]]) -> Settlement:
    """Write the outcomes back with their events; rows that another owner has taken since stay as they are."""
    settled = sorted(settled, key=_settled_by_id)
    sent = [pair for pair in settled if pair[1].state is MessageState.SENT]
    if len(sent) < len(settled):
        others = [outcome for _, outcome in settled if outcome.state is not MessageState.SENT]
        await announce(tx, await repository.settle(tx, others))
    if not sent:
        return Settlement([])
    ours, known, early = await repository.settle_sent(tx, [outcome for _, outcome in sent])
    if len(ours) < len(sent):
        sent = [pair for pair in sent if pair[1].id in ours]
    await _announce_sent(tx, [ready.row for ready, _ in sent if ready.row.id not in known])
    return Settlement(sent, early)


async def _announce_sent(tx: Tx, rows: Sequence[DueRow]) -> None:
    """One event per campaign, since nobody follows one of its messages; one per message that somebody wrote."""
    campaigns: dict[UUID, dict[UUID, list[UUID]]] = {}
    direct: list[MessageChanged] = []
    for row in rows:
        if row.lane != DIRECT_LANE:
            campaigns.setdefault(row.lane, {}).setdefault(row.account_id, []).append(row.id)
        else:
            direct.append(
                MessageChanged(
                    message_id=row.id,
                    account_id=row.account_id,
                    contact_id=row.contact_id,
                    kind=row.kind,
                    state=MessageState.SENT,
                )
            )
    sent = [
        CampaignMessagesSent(campaign_id=lane, messages={account: tuple(ids) for account, ids in by_account.items()})
        for lane, by_account in campaigns.items()
    ]
    await outbox.append(tx, *direct, *sent)


async def recover(tx: Tx, lease: Lease, *, deduplicates: bool) -> list[Ready]:
    """Take over what an earlier owner of the account left in flight.

    Where the platform de-duplicates, returns the messages to send again with the same key (after `recheck`).
    Elsewhere they become `unknown` until a status of the platform tells: never resent blindly.
    """
    if deduplicates:
        rows = await repository.adopt(tx, lease.account_id, lease.epoch)
        return [Ready(row, row.body or "", lease.epoch) for row in rows]
    await announce(tx, await repository.abandon(tx, lease.account_id, lease.epoch))
    return []


async def announce(tx: Tx, rows: Sequence[Any]) -> None:
    """Append the event of each changed row of `platforms.message`; a message put back into the queue is no news.

    Nor is one whose state a platform's status had changed before (`moved` is false).
    """
    await outbox.append(
        tx,
        *[
            MessageChanged(
                message_id=row["id"],
                account_id=row["account_id"],
                contact_id=row["contact_id"],
                kind=row["kind"],
                state=row["state"],
                campaign_id=None if row["lane"] == DIRECT_LANE else row["lane"],
                reason=row["reason"],
                before=row.get("before"),
            )
            for row in rows
            if row["state"] != MessageState.QUEUED and row.get("moved", True)
        ],
    )


async def _standings(
    tx: Tx, rows: Sequence[DueRow], now: datetime, *, with_data: bool = False, alone: bool = False
) -> dict[tuple[MessageKind, UUID], Standing]:
    """Lock the contacts and judge each for the purpose and platform of its message."""
    groups: dict[tuple[str, MessageKind], set[UUID]] = defaultdict(set)
    for row in rows:
        groups[row.platform, row.kind].add(row.contact_id)
    if alone and len(groups) > 1:
        # In one order for all of them: two who lock them group by group would wait for each other.
        await consents.lock_alone(tx, sorted({row.contact_id for row in rows}))
    found: dict[tuple[MessageKind, UUID], Standing] = {}
    for (platform, kind), ids in groups.items():
        standings = await consents.lock_verdicts(
            tx, sorted(ids), platform=platform, purpose=purpose_of(kind), at=now, with_data=with_data, alone=alone
        )
        found.update({(kind, contact_id): standing for contact_id, standing in standings.items()})
    return found


async def _strayed(tx: Tx, rows: Sequence[DueRow], standings: Mapping[tuple[MessageKind, UUID], Standing]) -> set[UUID]:
    """Messages to an address that is not the person's any more: who has it now may have opted out.

    An answer stays in the chat that it answers. The contacts are locked, so what is found holds until the commit.
    """
    suspects = [
        row
        for row in rows
        if row.kind not in _ANSWERS
        and (standing := standings[row.kind, row.contact_id]).reason is None
        and standing.peer != row.peer
    ]
    if not suspects:
        return set()
    people = await contacts.get_many(tx, [row.contact_id for row in suspects])
    known = {(person.id, identity.value) for person in people.values() for identity in person.identities}
    return {row.id for row in suspects if (row.contact_id, row.peer) not in known}


def _by_id(ready: Ready) -> bytes:
    return ready.row.id.bytes


def _settled_by_id(settled: tuple[Ready, Outcome]) -> bytes:
    return settled[1].id.bytes


def _refusal(row: DueRow, standing: Standing | None) -> str | None:
    """Why the person may not get this at all; None when they may."""
    if standing is None:
        return "no_contact"
    if row.kind is MessageKind.CONFIRMATION:
        # The one message that follows an opt-out: it says that it was heard.
        return None if standing.reason in (None, "opted_out") else standing.reason
    return standing.reason


class _Go(NamedTuple):
    """The message may go, and says this."""

    text: str


@dataclass(slots=True)
class _Batch:
    """What one authorisation knows, read under its locks.

    Attributes:
        strayed: Messages to addresses that are not their people's any more.
        room: How many more campaign messages people may get; without those about whom no cap says anything.
        quiet: When it is day again, by zones; worked out once for all who share them.
    """

    policy: Policy
    now: datetime
    texts: Mapping[UUID, templates.Template]
    standings: Mapping[tuple[MessageKind, UUID], Standing]
    strayed: set[UUID]
    room: dict[UUID, int]
    admission: Admission
    quiet: dict[tuple[str, ...], datetime | None] = field(default_factory=dict)

    def decide(self, row: DueRow) -> _Go | str | datetime:
        """The text to send, the reason to suppress it, or the moment to wait for."""
        standing = self.standings[row.kind, row.contact_id]
        refusal = _refusal(row, standing)
        if refusal is not None:
            return refusal
        if row.id in self.strayed:
            return "address_changed"
        campaign = row.kind is MessageKind.CAMPAIGN
        if campaign and self.room.get(row.contact_id, 1) <= 0:
            return "frequency_cap"
        if campaign and (morning := self._quiet_until(standing.time_zones)) is not None:
            return morning
        try:
            text = _render(row, self.texts, standing)
        except templates.MissingVariable:
            return "missing_variable"
        # Last, because it takes a place.
        return (self._admit(row) if campaign else None) or _Go(text)

    def _admit(self, row: DueRow) -> datetime | None:
        """Count a campaign message, or say when there is a place for it."""
        wait = self.admission.admit(row.account_id, row.contact_id)
        if wait is None and row.contact_id in self.room:
            self.room[row.contact_id] -= 1
        return wait

    def _quiet_until(self, zones: tuple[str, ...]) -> datetime | None:
        if zones not in self.quiet:
            self.quiet[zones] = consents.quiet_until(self.policy, zones, self.now)
        return self.quiet[zones]


async def _gather(tx: Tx, rows: Sequence[DueRow], now: datetime, daily: Mapping[UUID, DailyWindow]) -> _Batch:
    """Lock the people and read all that decides."""
    texts = await _texts(tx, rows)
    policy = await consents.get_policy(tx)
    people = {row.contact_id for row in rows if row.kind is MessageKind.CAMPAIGN}
    # Whoever counts what a person got must be the only one who is about to add to it.
    counted = policy.frequency_max is not None and bool(people)
    with_data = any(text.variables for text in texts.values())
    standings = await _standings(tx, rows, now, with_data=with_data, alone=counted)
    strayed = await _strayed(tx, rows, standings)
    room = await _room(tx, people, policy, now)
    await load(tx, daily, now)
    admission = Admission(daily, now)
    admission.prepare(row.account_id for row in rows)
    return _Batch(policy, now, texts, standings, strayed, room, admission)


async def _room(tx: Tx, people: Collection[UUID], policy: Policy, now: datetime) -> dict[UUID, int]:
    if policy.frequency_max is None or not people:
        return {}
    counts = await repository.sent_since(tx, [*people], now - timedelta(days=policy.frequency_days))
    return {person: policy.frequency_max - counts.get(person, 0) for person in people}


async def _texts(tx: Tx, rows: Sequence[DueRow]) -> dict[UUID, templates.Template]:
    wanted = {row.content_id for row in rows if row.content_id is not None}
    texts = await repository.contents(tx, [*wanted]) if wanted else {}
    return {content_id: templates.compile_text(text) for content_id, text in texts.items()}


def _render(row: DueRow, texts: Mapping[UUID, templates.Template], standing: Standing) -> str:
    if row.content_id is None:
        return row.body or ""
    text = texts[row.content_id]
    return text.render(templates.variables_of(standing.data)) if standing.data else text.render({})
