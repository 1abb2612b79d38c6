"""What goes on while processes die: campaigns, replies, imports and webhooks, each with its own account of itself."""

import asyncio
import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from carillon.audience.contacts import api as contacts
from carillon.runtime.importing import follow, upload_file
from carillon.scheduling.campaigns.contracts import Guards
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_people

from . import posting
from .field import Field

PEOPLE, RATE = 60, 12.0
ROWS = 40
PATIENCE = 240.0
_NO_GUARDS = Guards(failure_rate=None, opt_out_rate=None)
_LOOK = 0.2

_INBOUND = """
SELECT count(*) FILTER (WHERE a.connector LIKE 'simulator%') AS replies,
       count(*) FILTER (WHERE a.connector = 'custom_http') AS called
FROM platforms.inbound_message i JOIN platforms.account a ON a.id = i.account_id
"""
_IMPORTED = "SELECT count(*) FROM audience.contact WHERE name LIKE 'Imported %'"


@dataclass
class Traffic:
    """Everything that goes on at once on a field; `called`, `imported` and `campaigns` count what was asked for."""

    place: Field
    shop: UUID
    called: int = 0
    imported: int = 0
    campaigns: list[UUID] = field(default_factory=list)

    @classmethod
    async def on(cls, place: Field) -> "Traffic":
        """People and accounts of every platform."""
        for flavour in ("telegram", "whatsapp"):
            await place.add_accounts(flavour, 2, rate=RATE)
        (shop,) = await place.add_accounts("http", 1, rate=RATE)
        async with place.database.transaction(place.tenant) as tx:
            await add_people(tx, PEOPLE, platform="custom")
        traffic = cls(place, shop)
        for _ in range(3):
            await traffic.import_next()
        return traffic

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Let it all go on inside; what was begun is not broken off, only nothing new begins."""
        stop = asyncio.Event()
        works = [self._campaign(stop), self._call(stop), self._import(stop)]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
            stop.set()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _campaign(self, stop: asyncio.Event) -> None:
        """A new campaign to everybody whenever the one before is planned and nearly through."""
        place = self.place
        while not stop.is_set():
            campaign_id = await campaigns.create(
                place.database, place.tenant, platforms=("telegram", "whatsapp", "custom"), guards=_NO_GUARDS
            )
            await campaigns.start(place.database, place.tenant, campaign_id)
            self.campaigns.append(campaign_id)
            while not (stop.is_set() or await self._nearly_through(campaign_id)):
                await asyncio.sleep(_LOOK)

    async def _nearly_through(self, campaign_id: UUID) -> bool:
        planned = (await campaigns.get(self.place.database, self.place.tenant, campaign_id)).planning_done
        return planned and (await self.place.found()).get("queued", 0) < PEOPLE

    async def _through(self, campaign_id: UUID) -> bool:
        """Nothing of it moves any more; what is held for a lost account keeps a campaign running."""
        database, tenant = self.place.database, self.place.tenant
        planned = (await campaigns.get(database, tenant, campaign_id)).planning_done
        return planned and (await campaigns.funnel(database, tenant, campaign_id)).remaining == 0

    async def _call(self, stop: asyncio.Event) -> None:
        """One call after the other, every third of them twice."""
        for number in count():
            if stop.is_set():
                return
            body = posting.call_of(posting.said(f"m{number}", "hello", chat=f"c-{number % 7}"))
            for _ in range(1 + (number % 3 == 0)):
                await posting.insist(self.place, self.shop, body)
            self.called += 1
            await asyncio.sleep(0.05)

    async def _import(self, stop: asyncio.Event) -> None:
        """One file after the other, each with people of its own."""
        while not stop.is_set():
            await self.import_next()

    async def import_next(self) -> None:
        """Import a file of people nobody knew, every other one on Telegram, and wait for its end."""
        place, first = self.place, self.imported
        path = place.settings.data / f"people-{first}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("name", "phone", "telegram"))
            for number in range(first, first + ROWS):
                phone, user = f"+4915110{number:06}", f"@imported_{number:06}"
                writer.writerow((f"Imported {number}", *((phone, "") if number % 2 else ("", user))))
        yesterday = datetime.now(UTC) - timedelta(days=1)
        consent = contacts.ConsentRule(proof="https://example.com/join (v3)", at=yesterday, everyone=True)
        started = await upload_file(place.resources, place.tenant, path, consent=consent)
        self.imported += ROWS
        await follow(place.resources, place.tenant, started.id)

    async def until_quiet(self) -> int:
        """Wait until everything that was begun has ended; returns how many replies, calls and people are missing."""
        async with asyncio.timeout(PATIENCE):
            for campaign_id in self.campaigns:
                while not await self._through(campaign_id):
                    await asyncio.sleep(_LOOK)
        await self._until_told()
        await self.place.until_left(at_most=0)
        return await self._missing()

    async def _until_told(self) -> None:
        """Until the platform has told everything, and we have heard it all or do not come any further."""
        async with self.place.admin() as simulator, asyncio.timeout(PATIENCE):
            while await simulator.quiesce() != (0, 0):
                await asyncio.sleep(_LOOK)
        try:
            async with asyncio.timeout(30.0):
                while await self._missing():
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            return  # whatever is still missing is lost, and counted

    async def _missing(self) -> int:
        """Replies, calls and imported people too few or too many."""
        async with self.place.database.transaction(self.place.tenant) as tx:
            heard = await tx.first(_INBOUND)
            imported = await tx.scalar(_IMPORTED)
        assert heard is not None
        replies = self.place.theirs().replies
        found = (int(heard["replies"]), int(heard["called"]), int(imported))
        return sum(abs(one - other) for one, other in zip((replies, self.called, self.imported), found, strict=True))

    def told(self) -> str:
        """What went on, in words."""
        replies = self.place.theirs().replies
        return f"{len(self.campaigns)} campaigns, {replies} replies, {self.called} webhooks, {self.imported} people"
