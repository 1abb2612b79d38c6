"""One tenant with accounts on every kind of platform, and processes of ours that may be killed."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from sqlalchemy import select

from carillon.audience.contacts.models import contact
from carillon.kernel.subject import system_subject
from carillon.ops.settings import Settings
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.simulator.admin import SimulatorAdmin
from carillon.platforms.connectors.simulator.ledger import LedgerSummary, read_ledger
from carillon.platforms.delivery import api as delivery
from carillon.runtime import embedded
from carillon.runtime.compose import Prepared
from carillon.runtime.demo.report import Comparison, compare, ledger
from carillon.storage.database import Database, Tx
from carillon.storage.resources import Resources
from tests.fakes.http_sink import HttpSink
from tests.fixtures.delivery import add_account, add_people, make_plan, states

from .outcome import Outcome

PATIENCE = 100.0
SECRET = b"what the tenant's server and we both know"
Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Flavour:
    """A kind of platform: the connector that reaches it, and whether it drops a second copy."""

    connector: str
    platform: str
    deduplicates: bool


FLAVOURS: Mapping[str, Flavour] = {
    "telegram": Flavour("simulator_telegram", "telegram", deduplicates=True),
    "whatsapp": Flavour("simulator_whatsapp", "whatsapp", deduplicates=False),
    "http": Flavour("custom_http", "custom", deduplicates=False),
    "http-idempotent": Flavour("custom_http_idempotent", "custom", deduplicates=True),
}
SIMULATED = ("telegram", "whatsapp")


@dataclass
class Field:
    """Where a fault happens; `address` is the simulated platform's, `sinks` are HTTP servers by flavour."""

    settings: Settings
    prepared: Prepared
    resources: Resources
    address: str
    tenant: UUID
    sinks: Mapping[str, HttpSink]
    processes: list[Process] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.resources.database

    def admin(self) -> SimulatorAdmin:
        return SimulatorAdmin(self.address)

    def start(self, *roles: str, database: str | None = None, platform: str | None = None, **variables: str) -> Process:
        """Start `carillon run ROLES`; `database` and `platform` are proxies to go through, as host:port."""
        prepared = self.prepared if database is None else _through(self.prepared, database)
        environment = embedded.child_environment(self.settings, prepared, platform or self.address)
        with (self.settings.data / "logs" / f"{'-'.join(roles)}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "carillon.runtime", "run", *roles],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment, **variables},
            )
        self.processes.append(process)
        return process

    def start_worker(self, **how: str) -> Process:
        return self.start("delivery", **how)

    async def bury(self, process: Process) -> None:
        """Kill it and, as its parent, free what it owned."""
        process.kill()
        await ended(process)
        await embedded.free_accounts_of(self.resources)(process.pid)

    async def crash(self, role: str, point: str, *, count: int = 1) -> bool:
        """Run a process until it kills itself at a crash point, and free what it owned; whether it did."""
        process = self.start(role, CARILLON_CRASH_AT=f"{point}:{count}")
        try:
            return await ended(process) == -9
        except TimeoutError:
            return False
        finally:
            await self.bury(process)

    async def add_accounts(self, flavour: str, count: int, *, rate: float) -> list[UUID]:
        kind = FLAVOURS[flavour]
        settings: dict[str, object] = {"rate_per_second": rate}
        made = []
        async with self.database.transaction(self.tenant) as tx:
            for number in range(count):
                if flavour in SIMULATED:
                    made.append(
                        await add_account(tx, connector=kind.connector, platform=kind.platform, settings=settings)
                    )
                    continue
                url = {"url": f"http://{self.sinks[flavour].address}/in"}
                name = f"{flavour} {number}"
                new = accounts.NewAccount(kind.connector, name, name, settings={**settings, **url}, secret=SECRET)
                subject = system_subject(self.tenant)
                made.append((await accounts.create(tx, self.prepared.vault, subject, new)).id)
        return made

    async def campaign(
        self, people: int, *, rate: float, flavours: Sequence[str] = SIMULATED, accounts_each: int = 2
    ) -> dict[str, list[UUID]]:
        """Plan a message for so many new people of each platform and open the gate; the accounts by flavour."""
        made = {flavour: await self.add_accounts(flavour, accounts_each, rate=rate) for flavour in flavours}
        for platform in {FLAVOURS[flavour].platform for flavour in flavours}:
            pool = [one for flavour in flavours if FLAVOURS[flavour].platform == platform for one in made[flavour]]
            await self.send_to_new_people(people, platform, pool)
        return made

    async def send_to_new_people(self, people: int, platform: str, pool: Sequence[UUID]) -> None:
        """Plan a message to that many people who were not there before, from these accounts."""
        async with self.database.transaction(self.tenant) as tx:
            added = await add_people(tx, people, platform=platform)
            members = select(contact).where(contact.c.tenant_id == self.tenant, contact.c.id.in_(added))
            plan = make_plan(self.tenant, list(pool), platform=platform, members=members)
            await delivery.write_contents(tx, plan)
            await delivery.plan_slice(tx, plan, None, 50_000)
            await delivery.open_lane(tx, plan.campaign_id)

    async def found(self) -> dict[str, int]:
        """Messages by state."""
        found = await states(self.database, self.tenant)
        return {state: count for state, count in found.items() if state != "suppressed"}

    async def by_account(self) -> Counter[UUID]:
        """How many messages belong to each account."""
        async with self.database.transaction(self.tenant) as tx:
            rows = await tx.all("SELECT account_id, count(*) AS n FROM platforms.message GROUP BY 1")
        return Counter({row["account_id"]: row["n"] for row in rows})

    async def until_left(self, *, at_most: int, seconds: float = PATIENCE) -> int:
        """Wait until no more than so many messages are still to go; returns how many are."""
        async with asyncio.timeout(seconds):
            while (left := await self.left()) > at_most:
                await asyncio.sleep(0.02)
        return left

    async def left(self) -> int:
        """Messages that have still to go."""
        found = await self.found()
        return found.get("queued", 0) + found.get("sending", 0)

    def theirs(self) -> LedgerSummary:
        """What every platform took."""
        summary = read_ledger(self.settings.data / "simulator.ledger")
        taken = dict(summary.accepted)
        for sink in self.sinks.values():
            taken |= sink.ledger()
        return replace(summary, accepted=taken)

    async def compared(self, *, waiting: Sequence[UUID] = (), apart: Collection[str] = ()) -> Comparison:
        """Our ledger against the platforms'.

        Queued messages of `waiting` accounts are meant to wait; messages `apart` are not compared.
        """
        async with self.database.transaction(self.tenant) as tx:
            ours = await ledger(tx)
            left_out = {*await _queued(tx, waiting), *apart}
        theirs = self.theirs()
        taken = {name: copies for name, copies in theirs.accepted.items() if name not in apart}
        ours = {name: row for name, row in ours.items() if name not in left_out}
        return compare(ours, replace(theirs, accepted=taken))

    async def outcome(
        self,
        fault: str,
        since: float,
        note: str = "",
        *,
        broken: Sequence[str] = (),
        lost: int = 0,
        waiting: Sequence[UUID] = (),
        apart: Collection[str] = (),
        at_most: float | None = None,
        seconds: float | None = None,
    ) -> Outcome:
        """Compare the ledgers; `since` is `time.monotonic()` at the end of the fault, `lost` is added."""
        drained = time.monotonic() - since
        compared = await self.compared(waiting=waiting, apart=apart)
        wrong = await self._wrongly_unknown()
        return Outcome(
            fault=fault,
            lost=compared.lost + lost,
            duplicated=compared.duplicated,
            to_opted_out=compared.to_opted_out,
            unknown=(await self.found()).get("unknown", 0),
            seconds=drained if seconds is None else seconds,
            note=note,
            broken=(*broken, *([f"{wrong} unknown where the platform de-duplicates"] if wrong else [])),
            at_most=at_most,
        )

    async def _wrongly_unknown(self) -> int:
        """Only where the platform does not de-duplicate may an outcome stay open, unless it ended the account."""
        sure = [flavour.connector for flavour in FLAVOURS.values() if flavour.deduplicates]
        async with self.database.transaction(self.tenant) as tx:
            count = await tx.scalar(
                "SELECT count(*) FROM platforms.message m JOIN platforms.account a ON a.id = m.account_id "
                "WHERE m.state = 'unknown' AND a.connector = ANY(:sure) AND a.state IN ('online', 'flooded')",
                {"sure": sure},
            )
        return int(count)


async def ended(process: Process, seconds: float = PATIENCE) -> int:
    """Wait for its end without holding up the loop.

    Raises:
        TimeoutError: It goes on.
    """
    async with asyncio.timeout(seconds):
        while (status := process.poll()) is None:
            await asyncio.sleep(0.02)
    return status


async def _queued(tx: Tx, account_ids: Sequence[UUID]) -> set[str]:
    statement = "SELECT id FROM platforms.message WHERE account_id = ANY(:accounts) AND state = 'queued'"
    return {str(row["id"]) for row in await tx.all(statement, {"accounts": list(account_ids)})}


def _through(prepared: Prepared, proxy: str) -> Prepared:
    """The same database by way of a proxy."""

    def by(url: str) -> str:
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@{proxy}"))

    return replace(prepared, app_url=by(prepared.app_url), worker_url=by(prepared.worker_url))
