"""The main job, step by step: import, campaign, replies, and two kills on the way."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import time as time_of_day
from functools import partial
from uuid import UUID

import psutil

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Policy
from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.contracts import FieldType, Import, ImportStatus
from carillon.identity.auth import api as auth
from carillon.kernel.errors import CarillonError
from carillon.kernel.subject import system_subject
from carillon.ops.settings import Settings
from carillon.platforms.connectors.simulator.admin import SimulatorAdmin
from carillon.platforms.connectors.simulator.ledger import read_ledger
from carillon.platforms.delivery.contracts import MessageState
from carillon.runtime import embedded
from carillon.runtime.compose import Prepared, open_resources
from carillon.runtime.importing import follow, upload_file
from carillon.runtime.sandbox import add_sandbox_accounts
from carillon.runtime.supervisor import Supervisor
from carillon.scheduling.campaigns import api as campaigns
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .people import PeopleFile, write_people
from .report import Report, compare, ledger

ACCOUNTS_EACH = 20
RATE = 12.0
"""Messages a second of each account: fast enough to watch, slow enough to be killed on the way."""
KILL_AT = (0.25, 0.6)
"""Shares of the planned messages after which the delivery process is killed."""
PATIENCE = 420.0

TEXTS_A = {
    "": "Hello {{ name }}, our winter collection is here. Reply STOP to hear no more.",
    "zh": "{{ name }} 您好，冬季新品已上架。回复 退订 不再接收。",
    "es": "Hola {{ name }}, ya llegó la colección de invierno. Responda BAJA para no recibir más.",
    "ru": "Здравствуйте, {{ name }}! Зимняя коллекция уже здесь. Ответьте СТОП, чтобы отписаться.",
}
TEXTS_B = {
    "": '{{ name }}, 20 % off this week only{{ fields.city | default: "" }}. Reply STOP to opt out.',
    "zh": "{{ name }}，本周八折优惠。回复 退订 不再接收。",
}

MISFORTUNES = (
    *("--ban-after", "60", "--ban-accounts", "sandbox-telegram-3,sandbox-whatsapp-7"),
    *("--restrict-after", "80", "--restrict-accounts", "sandbox-telegram-11,sandbox-whatsapp-2"),
    *("--reply-seconds", "2", "--flood-seconds", "5", "--late-factor", "3"),
    *("--delivered-seconds", "0.5", "--read-seconds", "1.5"),
)
"""Two accounts are banned and two restricted on the way; answers come fast enough to wait for."""

_QUIET_LOOKS, _LOOK_EVERY = 10, 0.5
"""A reply may lead to a confirmation, and that to a status: quiet is only what stays quiet for a while."""

_GOING = "SELECT count(*) FROM platforms.message WHERE tenant_id = :tenant AND state IN ('queued', 'sending')"
_COUNTS = """
SELECT (SELECT count(*) FROM audience.contact WHERE tenant_id = :tenant AND opted_out_at >= :since) AS opt_outs,
       (SELECT count(*) FROM platforms.inbound_message WHERE tenant_id = :tenant) AS replies
"""
_FAILED = """
SELECT split_part(reason, ':', 1) AS class, count(*) AS n FROM platforms.message
WHERE tenant_id = :tenant AND lane = :campaign AND state = 'failed' GROUP BY 1
"""

Say = Callable[[str], None]


class DemoFailed(CarillonError):
    """The demo could not be finished."""

    code = "demo_failed"


@dataclass(slots=True)
class Watch:
    """Samples how much memory our processes take together, PostgreSQL and the simulator left out."""

    supervisor: Supervisor
    peak: int = 0
    kills: int = 0

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            self.peak = max(self.peak, await asyncio.to_thread(self._sample))
            await asyncio.sleep(0.5)

    def _sample(self) -> int:
        pids = [child.process.pid for child in self.supervisor.children.values() if child.process is not None]
        total = 0
        for pid in (os.getpid(), *pids):
            try:
                total += psutil.Process(pid).memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def fresh(settings: Settings) -> Settings:
    """Settings of a demo installation of its own, below the data directory and empty."""
    folder = settings.data / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    return settings.model_copy(update={"data": folder})


@dataclass(slots=True)
class Scenario:
    """One run of the demo: its installation, its platform, and how to tell a person what happens."""

    settings: Settings
    resources: Resources
    address: str
    supervisor: Supervisor
    watch: Watch
    tenant_id: UUID
    say: Say

    async def run(self, people: PeopleFile) -> Report:
        """Every step, then the comparison."""
        began = time.monotonic()
        self.say(f"wrote {people.rows:,} messy rows (GBK, duplicates, bad numbers, 15 time zones)")
        done = await self._import(people)
        await add_sandbox_accounts(self.resources, self.tenant_id, each=ACCOUNTS_EACH, rate_per_second=RATE)
        campaign_id = await self._start()
        await self._send_and_kill(campaign_id)
        await self._quiet()
        return await self._report(campaign_id, done, time.monotonic() - began)

    def _transaction(self) -> AbstractAsyncContextManager[Tx]:
        return self.resources.database.transaction(self.tenant_id)

    async def _import(self, people: PeopleFile) -> Import:
        """Some had opted out before; then the file, whose opted-out people stay opted out."""
        subject = system_subject(self.tenant_id)
        async with self._transaction() as tx:
            # The demo runs at any hour: quiet hours would hold half of the world back until its morning.
            await consents.set_policy(tx, subject, Policy(quiet_start=time_of_day(0), quiet_end=time_of_day(0)))
            await contacts.define_field(tx, key="city", label="城市", kind=FieldType.TEXT)
            await consents.suppress_addresses(
                tx,
                self.resources.vault,
                [("phone", phone) for phone in people.opted_out],
                reason="opted out on the old system",
                source="import",
                subject=subject,
            )
        started = await upload_file(
            self.resources,
            self.tenant_id,
            people.path,
            consent=contacts.ConsentRule(proof="https://example.com/join (v3)"),
            extra_mapping={"城市": "field:city"},
        )
        done = await follow(self.resources, self.tenant_id, started.id)
        if done.status is not ImportStatus.DONE:
            message = f"The import ended as {done.status.value}: {done.error}"
            raise DemoFailed(message)
        self.say(f"imported {done.created:,} people, refused {done.rejected:,} rows, {done.duplicates:,} duplicates")
        return done

    async def _start(self) -> UUID:
        subject = system_subject(self.tenant_id)
        draft = campaigns.Draft(
            name="Winter",
            platforms=("whatsapp", "telegram"),
            rule={"all": []},
            variants=(
                campaigns.CampaignVariant("A", 1, TEXTS_A),
                campaigns.CampaignVariant("B", 1, TEXTS_B),
            ),
            guards=campaigns.Guards(failure_rate=None, opt_out_rate=None),
        )
        async with self._transaction() as tx:
            campaign = await campaigns.create(tx, subject, draft)
            review = await campaigns.review(tx, campaign.id)
            await campaigns.start(tx, subject, campaign.id)
        self.say(f"review: {review.sendable:,} of {review.audience:,} people, about {review.seconds or 0:.0f} s")
        return campaign.id

    async def _send_and_kill(self, campaign_id: UUID) -> None:
        for share in KILL_AT:
            await self._until(partial(_has_sent, campaign_id=campaign_id, share=share))
            process = self.supervisor.children["delivery-1"].process
            assert process is not None
            os.kill(process.pid, signal.SIGKILL)
            self.watch.kills += 1
            self.say(f"killed the delivery process (pid {process.pid}) with SIGKILL after {share:.0%}")
            # The next kill is to hit its successor, not a corpse.
            await process.wait()
        await self._until(partial(_is_through, campaign_id=campaign_id))
        self.say("the campaign has sent what it could")

    async def _quiet(self) -> None:
        """Until nothing moves any more: what the platform would still tell banned accounts nobody will hear."""
        self.say("waiting for the last replies and statuses")
        async with SimulatorAdmin(self.address) as admin:
            quiet, before = 0, (-1, -1)
            while quiet < _QUIET_LOOKS:
                left = await admin.quiesce()
                async with self._transaction() as tx:
                    going = await tx.scalar(_GOING, {"tenant": self.tenant_id})
                quiet = quiet + 1 if left == before and not going else 0
                before = left
                await asyncio.sleep(_LOOK_EVERY)

    async def _until(self, holds: Callable[[Tx], Awaitable[bool]]) -> None:
        while True:
            async with self._transaction() as tx:
                if await holds(tx):
                    return
            await asyncio.sleep(0.1)

    async def _report(self, campaign_id: UUID, done: Import, seconds: float) -> Report:
        async with self._transaction() as tx:
            ours = await ledger(tx)
            campaign = await campaigns.get(tx, campaign_id)
            funnel = await campaigns.funnel(tx, campaign_id)
            counts = await tx.first(_COUNTS, {"tenant": self.tenant_id, "since": campaign.started_at})
            failed = await tx.all(_FAILED, {"tenant": self.tenant_id, "campaign": campaign_id})
        assert counts is not None
        found = compare(ours, read_ledger(self.settings.data / "simulator.ledger"))
        excluded = dict(campaign.excluded)
        return Report(
            imported=done.created,
            rejected_rows=done.rejected,
            audience=campaign.planned + sum(excluded.values()),
            excluded=excluded,
            planned=campaign.planned,
            sent=funnel.reached["sent"],
            delivered=funnel.reached["delivered"],
            read=funnel.reached["read"],
            failed={row["class"]: row["n"] for row in failed},
            unknown=funnel.states.get(MessageState.UNKNOWN, 0),
            held=funnel.states.get(MessageState.HELD, 0),
            suppressed_midway=funnel.states.get(MessageState.SUPPRESSED, 0) - sum(excluded.values()),
            replies=counts["replies"],
            opt_outs=counts["opt_outs"],
            kills=self.watch.kills,
            lost=found.lost,
            duplicated=found.duplicated,
            to_opted_out=found.to_opted_out,
            seconds=round(seconds, 1),
            peak_rss_mb=round(self.watch.peak / 1e6, 1),
        )


async def run_demo(settings: Settings, prepared: Prepared, *, rows: int, seed: int, say: Say) -> Report:
    """Run everything and compare the ledgers.

    Raises:
        DemoFailed: A step did not come to its end.
    """
    platform, address = await embedded.start_simulator(settings, "--profile", "demo", "--seed", str(seed), *MISFORTUNES)
    try:
        async with open_resources(settings, prepared, worker=True, name="carillon demo") as resources:
            first = await auth.bootstrap(resources)
            if first is None:
                raise DemoFailed("The demo's database is not empty.")
            programs = embedded.programs(embedded.free_accounts_of(resources))
            supervisor = Supervisor(
                [program for program in programs if program.name != "api"],
                logs=settings.data / "logs",
                environment=embedded.child_environment(settings, prepared, address),
            )
            scenario = Scenario(settings, resources, address, supervisor, Watch(supervisor), first.tenant_id, say)
            return await _attended(scenario, write_people(settings.data / "people.csv", rows=rows, seed=seed))
    finally:
        platform.terminate()
        await platform.wait()


async def _attended(scenario: Scenario, people: PeopleFile) -> Report:
    """Run the scenario with its processes around it."""
    stop = asyncio.Event()
    running = asyncio.create_task(scenario.supervisor.run(stop))
    watching = asyncio.create_task(scenario.watch.run())
    try:
        async with asyncio.timeout(PATIENCE):
            return await scenario.run(people)
    except TimeoutError as error:
        message = f"Not finished after {PATIENCE:.0f} s; see {scenario.settings.data / 'logs'}"
        raise DemoFailed(message) from error
    finally:
        stop.set()
        await running
        watching.cancel()


async def _has_sent(tx: Tx, *, campaign_id: UUID, share: float) -> bool:
    campaign = await campaigns.get(tx, campaign_id)
    funnel = await campaigns.funnel(tx, campaign_id)
    return campaign.planning_done and funnel.reached["sent"] >= campaign.planned * share


async def _is_through(tx: Tx, *, campaign_id: UUID) -> bool:
    """Banned accounts never come back here, so what is held for them keeps the campaign open for good."""
    campaign = await campaigns.get(tx, campaign_id)
    return campaign.planning_done and (await campaigns.funnel(tx, campaign_id)).remaining == 0
