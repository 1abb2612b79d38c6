"""What must never happen, judged while it happens and once everything is quiet again: DELIVERY's promises."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from carillon.kernel.errors import CarillonError
from carillon.platforms.connectors.port import InboundMessage, Outbound, Status, StatusUpdate
from carillon.platforms.delivery.statuses import RANK

from .keeper import FRESH, SOON, Keeper
from .loop import Process

if TYPE_CHECKING:
    from .connector import SimSession
    from .links import Link
    from .platform import Pending, PlatformAccount, Taken
    from .world import World

_LEVEL = {"sent": 2, "failed": 3, "delivered": 4, "read": 5}
_WAITS = """
SELECT m.id, m.state, m.due_at, m.reason, m.kind, m.contact_id, a.state AS account, a.deleted_at IS NOT NULL AS removed,
    coalesce(l.state, 'running') AS lane, a.wait_until
FROM platforms.message m
JOIN platforms.account a ON a.tenant_id = m.tenant_id AND a.id = m.account_id
LEFT JOIN platforms.lane l ON l.tenant_id = m.tenant_id AND l.id = m.lane
WHERE m.tenant_id = $1 AND m.state IN ('queued', 'sending', 'held') ORDER BY m.id
"""
_STOPPED = ("banned", "signed_out", "parked")


class Oracle:
    """Collects violations of one history."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.violations: list[str] = []
        self.opted_out: dict[UUID, float] = {}
        self._changes: dict[UUID, list[tuple[float, bool]]] = defaultdict(list)
        self._keeper = Keeper(world, self.violated)
        self.said = self._keeper.said
        self.stopped = self._keeper.stopped
        self.may_start = self._keeper.may_start
        self._accepted: set[UUID] = set()
        self._refused: set[UUID] = set()
        self._acknowledged: list[tuple[UUID, Pending]] = []

    def violated(self, text: str) -> None:
        """Something happened that must not."""
        self.violations.append(f"{self._world.loop.time():.3f} s: {text}")
        self._world.note(None, "VIOLATION {}", text)

    # While it happens

    def committed(self, link: "Link") -> None:
        """A transaction took effect."""
        if link.settled:
            self._settled(link)
        now = self._world.loop.time()
        for contact, out in link.opted_out:
            self._world.note(link.process, "opt-{} of {} committed", "out" if out else "in", contact)
            self._changes[contact].append((now, out))
            if out:
                self.opted_out.setdefault(contact, now)
            else:
                self.opted_out.pop(contact, None)
        if link.marked:
            self._keeper.marked(link)

    def _settled(self, link: "Link") -> None:
        """A settlement counts only for rows that no later owner of the account has taken over."""
        rows = self._world.wire.rows(
            "SELECT m.id FROM platforms.message m JOIN platforms.account_lease l ON l.tenant_id = m.tenant_id AND "
            "l.id = m.account_id AND l.epoch = m.epoch WHERE m.id = ANY($1) AND l.worker_id <> $2",
            [message for _, message in link.settled],
            link.process.worker_id,
        )
        for row in rows:
            self.violated(f"{link.process.name} settles message {row['id']}, which another owner has taken over")

    def wire_write(self, session: "SimSession", message: Outbound) -> None:
        """A process begins to write a message to the platform: it must own the account, and the check be fresh."""
        world, process = self._world, session.process
        world.note(process, "writes message {} to {}, resend={}", message.id, message.peer, message.resend)
        (row,) = world.wire.rows(
            "SELECT m.state, m.kind, m.contact_id, l.worker_id FROM platforms.message m LEFT JOIN "
            "platforms.account_lease l ON l.tenant_id = m.tenant_id AND l.id = $2 WHERE m.id = $1",
            message.id,
            session.account.id,
        )
        if row["worker_id"] != process.worker_id:
            self.violated(f"{process.name} writes message {message.id} but does not own the account")
        opted_out = self.opted_out.get(row["contact_id"])
        late = 0.0 if opted_out is None else world.loop.time() - opted_out
        if late > FRESH + 1e-6 and row["kind"] != "confirmation":
            self.violated(f"{process.name} writes message {message.id} {late:.3f} s after the person opted out")
        self._keeper.wire_write(session, message, row)

    def taken(self, taken: "Taken") -> None:
        """The platform accepted a message."""
        self._world.note(None, "the platform takes message {} from {}", taken.message.id, taken.process)

    def refused_for_good(self, message: Outbound) -> None:
        """The platform told us that the person wants nothing more."""
        self._refused.add(message.id)

    def two_sessions(self, holder: Process, opener: Process, account: UUID) -> None:
        """Two running processes hold the session of one account."""
        self.violated(f"{opener.name} opens account {account} while {holder.name} has it open")

    def acknowledged(self, account: "PlatformAccount", pending: "Pending") -> None:
        """We told the platform that an update is safe."""
        if not pending.acknowledged:
            pending.acknowledged = True
            self._acknowledged.append((account.id, pending))

    def promised(self, message: UUID) -> None:
        """An API call was answered: the message must survive everything."""
        self._accepted.add(message)

    def ended(self, process: Process, error: BaseException | None) -> None:
        """A worker ended by itself."""
        if error is not None and not isinstance(error, CarillonError):
            self.violated(f"{process.name} ended with {error!r}")

    def webhook_failed(self, error: BaseException | None) -> None:
        """A call of the platform was not answered 200."""
        if error is not None and not isinstance(error, CarillonError):
            self.violated(f"a webhook failed with {error!r}")

    # Once it is quiet

    def open_ends(self) -> list[str]:
        """What still has to happen until the history is over."""
        world = self._world
        now = world.true_time()
        rows = world.wire.rows(_WAITS, world.tenant)
        ends = [f"message {row['id']} is {row['state']}" for row in rows if not self._explained(row, now)]
        ends += self._keeper.open_ends()
        stopped = {
            row["id"]
            for row in world.wire.rows("SELECT id FROM platforms.account WHERE state = ANY($1)", list(_STOPPED))
        }
        ends.extend(
            f"account {account.id} has {len(account.untold)} updates to tell"
            for account in world.platform.accounts.values()
            if account.untold and not account.removed and (account.id not in stopped or not account.deduplicates)
        )
        (crossed,) = world.wire.rows(_CROSSED)
        if crossed["n"]:
            ends.append("statuses that crossed a settlement wait for the sweep")
        (events,) = world.wire.rows(
            "SELECT count(*) AS n FROM events.cursor c WHERE EXISTS (SELECT FROM events.event e WHERE "
            "(e.xid, e.position) > (c.xid, c.position) AND e.type IN ('account.state_changed', 'webhook.received'))"
        )
        if events["n"]:
            ends.append("events are unread")
        (early,) = world.wire.rows(
            "SELECT count(*) AS n FROM platforms.early_status e JOIN platforms.message m "
            "ON m.account_id = e.account_id AND m.platform_id = e.platform_id"
        )
        if early["n"]:
            ends.append(f"{early['n']} statuses are not merged with their messages")
        return ends

    def _explained(self, row: Any, now: datetime) -> bool:
        """Whether a message that waits has a reason to."""
        if row["removed"] or row["lane"] == "closed":
            return False
        if row["state"] == "sending":
            return self._keeper.sleeps(row, now)
        if row["state"] == "held":
            # A restricted account may still answer, but what its platform refused to take waits like the rest.
            still = row["account"] in (*_STOPPED, "restricted")
            return bool(still) and str(row["reason"]).startswith("account_")
        if row["due_at"] > now:
            return self._keeper.explains_wait(row, now)
        if row["lane"] != "running":
            return True
        return row["account"] == "flooded" and row["wait_until"] is not None and now < row["wait_until"] < now + SOON

    def judge(self) -> None:
        """Compare the platform's ledger, ours and the event log."""
        world = self._world
        rows = {
            row["id"]: row
            for row in world.wire.rows("SELECT * FROM platforms.message WHERE tenant_id = $1", world.tenant)
        }
        told_failed = self._told_failed()
        self._judge_ledgers(rows, told_failed)
        self._keeper.judge(rows, told_failed)
        self._judge_statuses(rows)
        self._judge_people(rows)
        self._judge_inbound()
        self._judge_events(rows)
        if self._accepted - rows.keys():
            self.violated(f"accepted messages are gone: {self._accepted - rows.keys()}")
        (letters,) = world.wire.rows("SELECT count(*) AS n, min(error) AS error FROM events.dead_letter")
        if letters["n"]:
            self.violated(f"{letters['n']} events were given up: {letters['error']}")

    def _told_failed(self) -> set[object]:
        """What the platform told us of failures, under our ids or its own."""
        return {
            each.update.message_id or each.update.platform_id
            for account in self._world.platform.accounts.values()
            for each in account.told
            if isinstance(each.update, StatusUpdate) and each.update.status is Status.FAILED
        }

    def _judge_ledgers(self, rows: Mapping[UUID, Any], told_failed: Collection[object]) -> None:
        taken = Counter(line.message.id for line in self._world.platform.ledger)
        for message, times in taken.items():
            if times > 1:
                self.violated(f"message {message} was delivered {times} times")
            if message not in rows:
                self.violated(f"the platform has message {message}, which we do not know")
        for row in rows.values():
            has, state = row["id"] in taken, row["state"]
            if state in ("sent", "delivered", "read") and not has:
                self.violated(f"message {row['id']} is {state}, but the platform never had it")
            excused = row["id"] in told_failed or row["platform_id"] in told_failed
            if (
                has
                and state in ("queued", "held", "cancelled", "suppressed", "sending", "failed")
                and not (state == "failed" and excused)
            ):
                self.violated(f"message {row['id']} is {state} ({row['reason']}), but the platform has it")

    def _judge_statuses(self, rows: Mapping[UUID, Any]) -> None:
        by_platform = {row["platform_id"]: row["id"] for row in rows.values() if row["platform_id"]}
        best: dict[UUID, Status] = {}
        for _, pending in self._acknowledged:
            update = pending.update
            if isinstance(update, StatusUpdate):
                message = update.message_id or by_platform.get(update.platform_id or "")
                if message is not None and RANK[update.status] > RANK.get(best.get(message, Status.SENT), 0) - 1:
                    best[message] = max(best.get(message, update.status), update.status, key=RANK.__getitem__)
        for message, status in best.items():
            row = rows.get(message)
            if row is not None and _LEVEL.get(row["state"], 1) < RANK[status]:
                self.violated(f"message {message} is {row['state']}, but {status} was acknowledged")

    def _judge_people(self, rows: Mapping[UUID, Any]) -> None:
        out = {
            row["id"]
            for row in self._world.wire.rows(
                "SELECT id FROM audience.contact WHERE tenant_id = $1 AND opted_out_at IS NOT NULL", self._world.tenant
            )
        }
        if out != self.opted_out.keys():
            self.violated(f"opt-outs seen {sorted(self.opted_out)} are not those stored {sorted(out)}")
        self._keeper.judge_words(out, self._changes)
        for message in self._refused:
            row = rows[message]
            if (
                row["state"] == "failed"
                and (row["reason"] or "").startswith("blocked")
                and row["contact_id"] not in self._changes
            ):
                self.violated(f"the platform told us of an opt-out with message {message}, and it was forgotten")

    def _judge_inbound(self) -> None:
        found = Counter(
            (row["account_id"], row["platform_id"])
            for row in self._world.wire.rows(
                "SELECT account_id, platform_id FROM platforms.inbound_message WHERE tenant_id = $1", self._world.tenant
            )
        )
        for key, times in found.items():
            if times > 1:
                self.violated(f"inbound message {key} is there {times} times")
        for account, pending in self._acknowledged:
            update = pending.update
            if isinstance(update, InboundMessage) and (account, update.platform_id) not in found:
                self.violated(f"inbound message {update.platform_id} was acknowledged and is lost")

    def _judge_events(self, rows: Mapping[UUID, Any]) -> None:
        told: dict[UUID, list[str]] = defaultdict(list)
        for row in self._world.wire.rows(
            "SELECT type, payload::text AS payload FROM events.event WHERE tenant_id = $1 "
            "AND type IN ('message.changed', 'campaign_messages.sent') ORDER BY position",
            self._world.tenant,
        ):
            payload = orjson.loads(row["payload"])
            if row["type"] == "message.changed":
                told[UUID(payload["message_id"])].append(payload["state"])
                continue
            for message in (UUID(one) for ids in payload["messages"].values() for one in ids):
                # A status may have come before the answer, and its event told more.
                if not told[message] or told[message][-1] not in _BEYOND_SENT:
                    told[message].append("sent")
        for message, states in told.items():
            levels = [_LEVEL[state] for state in states if state in _LEVEL]
            if levels != sorted(levels):
                self.violated(f"message {message} went back: {states}")
            state = rows[message]["state"]
            if state != states[-1] and state not in ("queued", "sending"):
                self.violated(f"message {message} is {state}, but its events end with {states[-1]}")
        for row in rows.values():
            if row["id"] not in told and row["state"] not in ("queued", "sending", "suppressed"):
                self.violated(f"message {row['id']} is {row['state']}, and no event tells of it")


_CROSSED = """
SELECT count(*) AS n FROM platforms.early_status e
WHERE EXISTS (SELECT FROM platforms.message m WHERE m.account_id = e.account_id AND m.platform_id = e.platform_id)
"""
_BEYOND_SENT = ("delivered", "read")
