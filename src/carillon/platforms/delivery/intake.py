"""Calls of platforms, stored by the handful: those that come while one transaction commits share the next.

A single connection commits some hundred times a second, because each commit waits for the disk; a webhook storm brings
more. So calls of one tenant queue for the moment that the commit before them takes, and none is answered before its
own transaction is durable. Nobody waits for a timer: a lone call is written at once.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import orjson
import structlog

from carillon.events import outbox
from carillon.events.catalog.platforms import WebhookReceived
from carillon.kernel.ids import uuid7
from carillon.ops import crash_points
from carillon.platforms.accounts import api as accounts
from carillon.storage.errors import DatabaseUnreachable
from carillon.storage.resources import Resources

_log = structlog.get_logger(__name__)

_MOST_CALLS = 500
_MOST_BYTES = 8_000_000

_INSERT = """
INSERT INTO platforms.webhook_call (tenant_id, id, account_id, headers, body)
SELECT $1, n.id, n.account_id, n.headers::jsonb, n.body
FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bytea[]) AS n (id, account_id, headers, body)
ORDER BY n.id
"""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A verified call.

    Attributes:
        account_id: Whose it is.
        version: Of the account it was verified with.
        headers: Those that are kept.
        body: As it came.
        stored: True when it is durable, False when the account changed meanwhile.
    """

    account_id: UUID
    version: str
    headers: Mapping[str, str]
    body: bytes
    id: UUID = field(default_factory=uuid7)
    stored: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Intake:
    """Writes calls of each tenant in the order they came, one transaction at a time and tenant."""

    def __init__(self, resources: Resources) -> None:
        """Create it; nothing waits yet."""
        self._resources = resources
        self._waiting: dict[UUID, deque[Call]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def store(self, tenant_id: UUID, call: Call) -> bool:
        """Make a call durable; False when the account has changed since it was verified, and nothing was stored.

        Raises:
            carillon.storage.errors.DatabaseUnreachable: It cannot be stored now.
        """
        waiting = self._waiting.get(tenant_id)
        if waiting is None:
            waiting = self._waiting[tenant_id] = deque()
            writing = asyncio.create_task(self._write_all(tenant_id, waiting))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
        waiting.append(call)
        return await call.stored

    async def _write_all(self, tenant_id: UUID, waiting: deque[Call]) -> None:
        while waiting:
            await self._write(tenant_id, _take(waiting))
        # No await since the last look: nobody can have joined.
        del self._waiting[tenant_id]

    async def _write(self, tenant_id: UUID, calls: Sequence[Call]) -> None:
        try:
            stored = await self._commit(tenant_id, calls)
        except Exception as error:  # noqa: BLE001 - each caller is told
            if len(calls) == 1 or isinstance(error, DatabaseUnreachable):
                for call in calls:
                    _answer(call, error)
                return
            # One of them cannot be stored: the others must not suffer for it.
            _log.warning("webhook calls are stored one by one", error=type(error).__name__)
            for call in calls:
                await self._write(tenant_id, [call])
            return
        for call in calls:
            _answer(call, call in stored)

    async def _commit(self, tenant_id: UUID, calls: Sequence[Call]) -> frozenset[Call]:
        async with self._resources.database.transaction(tenant_id) as tx:
            versions = await accounts.versions(tx, {call.account_id for call in calls})
            good = [call for call in calls if versions.get(call.account_id) == call.version]
            if not good:
                return frozenset()
            driver = await tx.driver()
            await driver.execute(
                _INSERT,
                tenant_id,
                [call.id for call in good],
                [call.account_id for call in good],
                [orjson.dumps(call.headers).decode() for call in good],
                [call.body for call in good],
            )
            await outbox.append(tx, *[WebhookReceived(call_id=one.id, account_id=one.account_id) for one in good])
            for _ in good:
                crash_points.reached("webhook.uncommitted")
        for _ in good:
            crash_points.reached("webhook.committed")
        return frozenset(good)


def _take(waiting: deque[Call]) -> list[Call]:
    """The oldest calls, within bounds; at least one."""
    taken = [waiting.popleft()]
    size = len(taken[0].body)
    while waiting and len(taken) < _MOST_CALLS and size + len(waiting[0].body) <= _MOST_BYTES:
        taken.append(waiting.popleft())
        size += len(taken[-1].body)
    return taken


def _answer(call: Call, outcome: bool | Exception) -> None:
    # Its caller may have gone away meanwhile.
    if call.stored.done():
        return
    if isinstance(outcome, Exception):
        call.stored.set_exception(outcome)
    else:
        call.stored.set_result(outcome)
