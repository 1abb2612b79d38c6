"""Whether the tenant's rules and people's words are kept: consents, gates, quiet hours, caps, parked accounts.

What the product must not do between two of its locks is judged when the transaction commits: whoever changes a
consent, an opt-out or a campaign's gate waits for the authorisation under way, so it sees what committed before.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from carillon.platforms.connectors.port import InboundMessage, Outbound

from .rules import OFF

if TYPE_CHECKING:
    from .connector import SimSession
    from .links import Link
    from .platform import PlatformAccount
    from .world import Person, World

FRESH = 1.0
"""Promise 3: a wire write begins at most so many seconds after its check."""
STOPS = 30.0
"""Seconds after which nothing may leave from an account that was parked or removed, whatever else hangs: its owner
hears of it at once, or cannot renew its leases and gives them up."""
SOON = timedelta(seconds=60)
"""Whatever waits for less than a flood or a back-off may last."""

_MARKED = """
SELECT m.id, m.kind, m.contact_id, c.opted_out_at IS NOT NULL AS opted_out, l.state AS lane
FROM platforms.message m
JOIN audience.contact c ON c.tenant_id = m.tenant_id AND c.id = m.contact_id
LEFT JOIN platforms.lane l ON l.tenant_id = m.tenant_id AND l.id = m.lane
WHERE m.id = ANY($1) ORDER BY m.id
"""
_RESENT = """
SELECT payload ->> 'message_id' AS message, count(*) AS n FROM events.event
WHERE tenant_id = $1 AND type = 'message.resent' GROUP BY 1 HAVING count(*) > 1
"""


class Keeper:
    """Part of the oracle."""

    def __init__(self, world: "World", violated: Callable[[str], None]) -> None:
        self._world = world
        self._violated = violated
        self._authorised: dict[UUID, float] = {}
        self._stopped: dict[UUID, float] = {}
        self._said: dict[UUID, list[tuple[float, InboundMessage]]] = defaultdict(list)

    # While it happens

    def marked(self, link: "Link") -> None:
        """An authorisation committed: everything it was to check held until now."""
        now = self._world.loop.time()
        for row in self._world.wire.rows(_MARKED, link.marked):
            self._authorised[row["id"]] = now
            entered = f"message {row['id']} entered sending"
            if row["opted_out"] and row["kind"] != "confirmation":
                self._violated(f"{entered} after the opt-out committed")
            if row["lane"] not in (None, "running"):
                self._violated(f"{entered} although its campaign is {row['lane']}")
            if row["kind"] == "campaign" and row["contact_id"] in self._world.rules.refused:
                self._violated(f"{entered} although the person does not agree to marketing")

    def wire_write(self, session: "SimSession", message: Outbound, row: Any) -> None:
        """A process begins to write a message."""
        world = self._world
        now = world.loop.time()
        late = now - self._authorised.get(message.id, -1e9)
        if late > FRESH + 1e-6 and not message.resend:
            self._violated(f"message {message.id} is written {late:.3f} s after it was authorised")
        stopped = now - self._stopped.get(session.account.id, now)
        if stopped > STOPS:
            self._violated(f"message {message.id} leaves {stopped:.3f} s after its account was stopped")
        if row["kind"] == "campaign" and world.rules.quiet != OFF:
            times = world.database_times(FRESH)
            if all(world.rules.is_quiet(row["contact_id"], time) for time in times):
                self._violated(f"message {message.id} leaves in the person's quiet hours")

    def stopped(self, account: "PlatformAccount") -> None:
        """An account was parked or removed for certain."""
        self._stopped[account.id] = self._world.loop.time()

    def may_start(self, account: "PlatformAccount") -> None:
        """A parked account may run again from now on."""
        self._stopped.pop(account.id, None)

    def said(self, person: "Person", message: InboundMessage) -> None:
        """A person writes to us."""
        self._said[person.contact].append((self._world.loop.time(), message))

    # Once it is quiet

    def open_ends(self) -> list[str]:
        """Sessions of stopped accounts that are still open."""
        return [
            f"account {account.id} is stopped and {session.process.name} has it open"
            for account in self._world.platform.accounts.values()
            for session in account.sessions
            if account.id in self._stopped
        ]

    def explains_wait(self, row: Any, now: datetime) -> bool:
        """Whether a message has a reason to become due as late as it does."""
        rules, due = self._world.rules, row["due_at"]
        if due <= now + SOON:
            return True
        if row["kind"] != "campaign":
            return False
        if rules.people_a_day is not None and due <= now + timedelta(days=1) + SOON:
            return True
        asleep = due - timedelta(seconds=1)
        return rules.is_quiet(row["contact_id"], asleep) and not rules.is_quiet(row["contact_id"], due)

    def sleeps(self, row: Any, now: datetime) -> bool:
        """Whether a message of unknown outcome waits to be sent again until it may disturb."""
        return row["kind"] == "campaign" and self._world.rules.is_quiet(row["contact_id"], now)

    def judge(self, rows: Mapping[UUID, Any], failed: Collection[object]) -> None:
        """Count what the platform accepted.

        Args:
            rows: Our messages.
            failed: Ids, ours and the platform's, of messages that the platform said did not arrive after all.
        """
        rules = self._world.rules
        per_person: Counter[UUID] = Counter()
        people: dict[UUID, set[UUID]] = defaultdict(set)
        for message, account in self._accepted().items():
            row = rows.get(message)
            if row is None or row["kind"] != "campaign":
                continue
            people[account].add(row["contact_id"])
            if message not in failed and row["platform_id"] not in failed:
                per_person[row["contact_id"]] += 1
        for contact, count in per_person.items():
            if rules.cap is not None and count > rules.cap:
                self._violated(f"{contact} got {count} campaign messages and the cap is {rules.cap}")
        for account, found in people.items():
            if rules.people_a_day is not None and len(found) > rules.people_a_day:
                self._violated(f"account {account} wrote to {len(found)} people a day, not {rules.people_a_day}")
        for again in self._world.wire.rows(_RESENT, self._world.tenant):
            self._violated(f"unknown message {again['message']} was sent again {again['n']} times")

    def _accepted(self) -> dict[UUID, UUID]:
        return {line.message.id: line.account for line in self._world.platform.ledger}

    def judge_words(self, out: Collection[UUID], changes: Mapping[UUID, Sequence[tuple[float, bool]]]) -> None:
        """People's last word counts.

        Args:
            out: Who is opted out in the end.
            changes: Per person, when an opt-out (True) or its end (False) committed.
        """
        known = {
            row["platform_id"]
            for row in self._world.wire.rows(
                "SELECT platform_id FROM platforms.inbound_message WHERE tenant_id = $1", self._world.tenant
            )
        }
        for contact, said in self._said.items():
            words = [(at, one.text) for at, one in said if one.platform_id in known and one.text in ("STOP", "START")]
            # When a process's clock was wrong, so may be the times by which words are put in order.
            if not words or self._world.nemesis.clocks_jumped:
                continue
            at, last = words[-1]
            if last == "STOP" and contact not in out:
                self._violated(f"{contact} said STOP last and is not opted out")
            again = any(change >= at and stops for change, stops in changes.get(contact, ()))
            if last == "START" and contact in out and not again:
                self._violated(f"{contact} said START last, and it was not heard")
