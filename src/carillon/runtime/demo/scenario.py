"""The main job, step by step: import, campaign, replies, and two kills on the way."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import time as time_of_day
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
    "": "{{ name }}, 20 % off this week only{{ fields.city | default: \"\" }}. Reply STOP to opt out.",
    "zh": "{{ name }}，本周八折优惠。回复 退订 不再接收。",
}

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


async def run_demo(settings: Settings, prepared: Prepared, *, rows: int, seed: int, say: Say) -> Report:
    """Run everything and compare the ledgers.

    Raises:
        DemoFailed: A step did not come to its end.
    """
    began = time.monotonic()
    platform, address = await embedded.start_simulator(
        settings, "--profile", "demo", "--seed", str(seed), *_misfortunes()
    )
    try:
        async with open_resources(settings, prepared, worker=True, name="carillon demo") as resources:
            return await _with_platform(settings, resources, address, rows=rows, seed=seed, say=say, began=began)
    finally:
        platform.terminate()
        await platform.wait()


def _misfortunes() -> list[str]:
    """Two accounts are banned and two restricted on the way."""
    return [
        *("--ban-after", "60", "--ban-accounts", "sandbox-telegram-3,sandbox-whatsapp-7"),
        *("--restrict-after", "80", "--restrict-accounts", "sandbox-telegram-11,sandbox-whatsapp-2"),
        *("--reply-seconds", "3", "--flood-seconds", "5", "--late-factor", "4"),
    ]


async def _with_platform(
    settings: Settings, resources: Resources, address: str, *, rows: int, seed: int, say: Say, began: float
) -> Report:
    first = await auth.bootstrap(resources)
    if first is None:
        raise DemoFailed("The demo's database is not empty.")
    tenant_id = first.tenant_id
    supervisor = Supervisor(
        [program for program in embedded.programs(embedded.free_accounts_of(resources)) if program.name != "api"],
        logs=settings.data / "logs",
        environment=embedded.child_environment(settings, address),
    )
    stop = asyncio.Event()
    watch = Watch(supervisor)
    background = [asyncio.create_task(supervisor.run(stop)), asyncio.create_task(watch.run())]
    try:
        async with asyncio.timeout(PATIENCE):
            people = write_people(settings.data / "people.csv", rows=rows, seed=seed)
            say(f"wrote {people.rows:,} messy rows (GBK, duplicates, bad numbers, 15 time zones)")
            done = await _import(resources, tenant_id, people, say)
            await add_sandbox_accounts(resources, tenant_id, each=ACCOUNTS_EACH, rate_per_second=RATE)
            campaign = await _start(resources, tenant_id, say)
            await _send_and_kill(resources, tenant_id, campaign.id, watch, say)
            await _quiet(resources, tenant_id, campaign.id, address, say)
        ended = await _report(resources, settings, tenant_id, campaign.id, done, watch, time.monotonic() - began)
    except TimeoutError as error:
        message = f"Not finished after {PATIENCE:.0f} s; see {settings.data / 'logs'}"
        raise DemoFailed(message) from error
    finally:
        stop.set()
        await background[0]
        background[1].cancel()
    return ended


async def _import(resources: Resources, tenant_id: UUID, people: PeopleFile, say: Say) -> Import:
    """Some had opted out before; then the file, whose opted-out people stay opted out."""
    subject = system_subject(tenant_id)
    async with resources.database.transaction(tenant_id) as tx:
        # The demo runs at any hour: quiet hours would hold half of the world back until its morning.
        policy = Policy(quiet_start=time_of_day(0), quiet_end=time_of_day(0))
        await consents.set_policy(tx, subject, policy)
        await contacts.define_field(tx, key="city", label="城市", kind=FieldType.TEXT)
        addresses = [("phone", phone) for phone in people.opted_out]
        await consents.suppress_addresses(
            tx, resources.vault, addresses, reason="opted out on the old system", source="import", subject=subject
        )
    rule = contacts.ConsentRule(proof="https://example.com/join (v3)")
    started = await upload_file(
        resources, tenant_id, people.path, consent=rule, extra_mapping={"城市": "field:city"}
    )
    done = await follow(resources, tenant_id, started.id)
    if done.status is not ImportStatus.DONE:
        message = f"The import ended as {done.status.value}: {done.error}"
        raise DemoFailed(message)
    say(f"imported {done.created:,} people, refused {done.rejected:,} rows, {done.duplicates:,} duplicates")
    return done


async def _start(resources: Resources, tenant_id: UUID, say: Say) -> campaigns.Campaign:
    subject = system_subject(tenant_id)
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
    async with resources.database.transaction(tenant_id) as tx:
        campaign = await campaigns.create(tx, subject, draft)
        review = await campaigns.review(tx, campaign.id)
        say(f"review: {review.sendable:,} of {review.audience:,} people, about {review.seconds or 0:.0f} s")
        return await campaigns.start(tx, subject, campaign.id)


async def _send_and_kill(resources: Resources, tenant_id: UUID, campaign_id: UUID, watch: Watch, say: Say) -> None:
    for share in KILL_AT:
        await _until(resources, tenant_id, lambda tx: _has_sent(tx, campaign_id, share))
        process = watch.supervisor.children["delivery-1"].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        watch.kills += 1
        say(f"killed the delivery process (pid {process.pid}) with SIGKILL after {share:.0%}")
        # The next kill is to hit its successor, not a corpse.
        await process.wait()
    await _until(resources, tenant_id, lambda tx: _is_finished(tx, campaign_id))
    say("the campaign is finished")


async def _has_sent(tx: Tx, campaign_id: UUID, share: float) -> bool:
    funnel = await campaigns.funnel(tx, campaign_id)
    campaign = await campaigns.get(tx, campaign_id)
    return campaign.planning_done and funnel.reached["sent"] >= campaign.planned * share


async def _is_finished(tx: Tx, campaign_id: UUID) -> bool:
    return (await campaigns.get(tx, campaign_id)).state == campaigns.CampaignState.FINISHED


async def _quiet(resources: Resources, tenant_id: UUID, campaign_id: UUID, address: str, say: Say) -> None:
    """Until the platform has nothing more to say and we have nothing more to send."""
    say("waiting for the last replies and statuses")
    async with SimulatorAdmin(address) as admin:
        quiet = 0
        while quiet < 3:  # noqa: PLR2004 - a reply may lead to a confirmation, and that to a status
            pending, unacked = await admin.quiesce()
            async with resources.database.transaction(tenant_id) as tx:
                rows = await tx.scalar(
                    "SELECT count(*) FROM platforms.message WHERE tenant_id = :t AND state IN ('queued', 'sending')",
                    {"t": tenant_id},
                )
            quiet = quiet + 1 if not (pending or unacked or rows) else 0
            await asyncio.sleep(0.3)


async def _until(resources: Resources, tenant_id: UUID, holds: Callable[[Tx], Awaitable[bool]]) -> None:
    while True:
        async with resources.database.transaction(tenant_id) as tx:
            if await holds(tx):
                return
        await asyncio.sleep(0.1)


async def _report(
    resources: Resources,
    settings: Settings,
    tenant_id: UUID,
    campaign_id: UUID,
    done: Import,
    watch: Watch,
    seconds: float,
) -> Report:
    async with resources.database.transaction(tenant_id) as tx:
        ours = await ledger(tx)
        campaign = await campaigns.get(tx, campaign_id)
        funnel = await campaigns.funnel(tx, campaign_id)
        opt_outs = await tx.scalar(
            "SELECT count(*) FROM audience.contact WHERE tenant_id = :t AND opted_out_at >= :since",
            {"t": tenant_id, "since": campaign.started_at},
        )
        replies = await tx.scalar(
            "SELECT count(*) FROM platforms.inbound_message WHERE tenant_id = :t", {"t": tenant_id}
        )
        failed = await tx.all(
            "SELECT split_part(reason, ':', 1) AS class, count(*) AS n FROM platforms.message "
            "WHERE tenant_id = :t AND lane = :c AND state = 'failed' GROUP BY 1",
            {"t": tenant_id, "c": campaign_id},
        )
    found = compare(ours, read_ledger(settings.data / "simulator.ledger"))
    excluded = dict(campaign.excluded)
    suppressed = funnel.states.get(MessageState.SUPPRESSED, 0) - sum(excluded.values())
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
        suppressed_midway=suppressed,
        replies=replies,
        opt_outs=opt_outs,
        kills=watch.kills,
        lost=found.lost,
        duplicated=found.duplicated,
        to_opted_out=found.to_opted_out,
        seconds=round(seconds, 1),
        peak_rss_mb=round(watch.peak / 1e6, 1),
    )
