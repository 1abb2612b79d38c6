"""Who acts in a history: the product's own processes, people, operators, and chance."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.events.adapters.postgres import PostgresProgress
from carillon.events.runner import Runner
from carillon.kernel.errors import CarillonError
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import InboundMessage
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery import webhooks
from carillon.platforms.delivery.consumers import consumers
from carillon.platforms.delivery.contracts import Draft
from carillon.platforms.delivery.worker import DeliveryWorker
from carillon.storage.database import Tx
from carillon.storage.errors import Contention, DatabaseUnreachable

from .connector import encoded
from .loop import Life, Process
from .platform import SECRET, Pending, PlatformAccount

if TYPE_CHECKING:
    from .world import World

Act = Callable[[Tx], Awaitable[object]]


async def keep_worker(world: "World", slot: int) -> None:
    """A delivery worker, started anew whenever it ends; sometimes its parent frees what it owned, sometimes not."""
    number = 0
    while True:
        number += 1
        process = world.process(f"worker{slot}.{number}", may_freeze=True)
        task = process.start(_work(world, process))
        world.workers[slot] = process
        await _until_gone(process, task)
        if process.life is not Life.DEAD:
            error = None if task.cancelled() else task.exception()
            world.note(process, "ended: {!r}", error)
            world.oracle.ended(process, error)
            world.bury(process)
        if world.nemesis.chance(0.7):
            await freed(world, process.name)
        await asyncio.sleep(world.draw.choice((0.1, 1.0, 3.0)))


async def _until_gone(process: Process, task: "asyncio.Task[Any]") -> None:
    """Until the process was killed, or its main task has ended."""
    while process.life is not Life.DEAD and not task.done():
        await asyncio.wait({task}, timeout=0.25)


async def _work(world: "World", process: Process) -> None:
    worker = DeliveryWorker(world.resources(process), world.connectors, name=process.name)
    process.worker_id, process.stop = worker.id, asyncio.Event()
    await worker.run(process.stop)


async def freed(world: "World", name: str) -> None:
    """The parent of a dead worker frees its accounts."""

    async def act(tx: Tx) -> None:
        await delivery.retire_process(tx, name)

    await ask(world, act, across=True)


async def keep_rest(world: "World", name: str, run: Callable[["World", Process], Awaitable[None]]) -> None:
    """Another role, started anew whenever it is killed."""
    number = 0
    while True:
        number += 1
        process = world.process(f"{name}{number}")
        if name == "api":
            world.api = process
        else:
            world.jobs = process
        task = process.start(run(world, process))  # type: ignore[arg-type] # they are coroutines
        await _until_gone(process, task)
        if task.done():
            task.result()
        await asyncio.sleep(0.5)


async def serve_api(_world: "World", _process: Process) -> None:
    """Requests are tasks of their own."""
    await asyncio.Event().wait()


async def serve_jobs(world: "World", process: Process) -> None:
    """The consumers of events, and the timetable."""
    resources = world.resources(process)
    progress = PostgresProgress(resources.database)
    runner = Runner(resources, progress, [*consumers, webhooks.consumer(world.connectors)])
    names, sweep_at, known = sorted(runner.consumers), 5.0, False
    while True:
        await asyncio.sleep(2.0)
        try:
            if not known:
                await progress.ensure(list(runner.consumers.values()))
                known = True
            ready = (await progress.pending(names)).ready
            for name in sorted(ready):
                while await runner.step(name):
                    pass
            if world.loop.time() >= sweep_at:
                sweep_at = world.loop.time() + 5.0
                await delivery.sweep(resources)
                await accounts.tick(resources)
        except (DatabaseUnreachable, Contention):
            continue


async def ask(world: "World", act: Act, *, across: bool = False, tries: int = 1_000) -> bool:
    """A request to the API, repeated by its caller until it is answered; False if it was refused."""
    for _ in range(tries):
        api = world.api
        if api is None or api.life is Life.DEAD:
            await asyncio.sleep(0.3)
            continue
        task = api.start(_transact(world, api, act, across=across))
        await asyncio.wait({task}, timeout=40.0)
        if not task.done():
            continue
        try:
            task.result()
        except (DatabaseUnreachable, Contention):
            await asyncio.sleep(world.draw.uniform(0.1, 1.0))
            continue
        except CarillonError as error:
            world.note(api, "refused: {}", error.code)
            return False
        return True
    return False


async def _transact(world: "World", process: Process, act: Act, *, across: bool) -> None:
    database = world.resources(process).database
    async with database.across_tenants() if across else database.transaction(world.tenant) as tx:
        await act(tx)


async def post(world: "World", account: PlatformAccount, pending: Pending, *, again: bool = False) -> None:
    """The platform calls us until it hears 200."""
    body = json.dumps([encoded(pending.update)]).encode()
    headers = {"x-signature": SECRET.decode()}
    await asyncio.sleep(world.draw.uniform(0.0, 2.0) if again else 0.0)
    while again or not pending.acknowledged:
        api = world.api
        if api is not None and api.life is not Life.DEAD:
            resources = world.resources(api)
            receiver = webhooks.Receiver(resources, world.connectors)
            task = api.start(receiver.receive(world.tenant, account.id, headers, body))
            await asyncio.wait({task}, timeout=20.0)
            if task.done() and task.exception() is None:
                world.oracle.acknowledged(account, pending)
                return
            if task.done():
                world.oracle.webhook_failed(task.exception())
        await asyncio.sleep(world.draw.uniform(0.2, 3.0))


async def person(world: "World") -> None:
    """People answer now and then; some want to hear nothing more."""
    number = 0
    while world.nemesis.active:
        await asyncio.sleep(world.draw.expovariate(1 / 2.0))
        number += 1
        who = world.draw.choice(world.people)
        account = world.draw.choice([each for each in world.platform.accounts.values() if fits(each, who.platform)])
        stop = world.nemesis.hits("opt_out", 0.15)
        text = "STOP" if stop else f"question {number}"
        world.note(None, "{} says {!r}", who.peer, text)
        world.platform.tell(
            account,
            InboundMessage(chat=who.peer, sender=who.peer, platform_id=f"in-{number}", text=text, at=world.true_time()),
        )


def fits(account: PlatformAccount, platform: str) -> bool:
    """Whether a person of this network can be written to from this account."""
    return account.deduplicates == (platform == "telegram")


async def operator(world: "World") -> None:
    """Users write direct messages; they are told of a message only once it is accepted."""
    while world.nemesis.active:
        await asyncio.sleep(world.draw.expovariate(1 / 2.0))
        who = world.draw.choice(world.people)
        account = world.draw.choice([each for each in world.platform.accounts.values() if fits(each, who.platform)])
        world.start(write_to(world, account.id, who.contact, uuid7()))


async def write_to(world: "World", account: UUID, contact: UUID, message: UUID) -> None:
    """One direct message."""
    draft = Draft(account_id=account, contact_id=contact, body=f"answer {message}", message_id=message)
    if await ask(world, lambda tx: delivery.accept(tx, draft)):
        world.oracle.promised(message)


async def chaos(world: "World") -> None:
    """Faults that come by the clock."""
    while world.nemesis.active:
        await asyncio.sleep(world.nemesis.pause())
        name = world.nemesis.timed()
        if name is not None:
            await _befall(world, name)


async def _befall(world: "World", name: str) -> None:  # noqa: C901, PLR0912 - a table
    draw = world.nemesis.draw
    victim = draw.choice([*world.workers.values(), world.api, world.jobs])
    worker = draw.choice(list(world.workers.values()))
    account = draw.choice(list(world.platform.accounts.values()))
    assert victim is not None
    match name:
        case "crash":
            world.crash(victim, "by the clock")
        case "freeze":
            world.freeze(worker, draw.choice((1.0, 10.0, 25.0, 50.0, 90.0, 120.0)), "by the clock")
        case "database_partition":
            world.partition(victim, "no_database", draw.choice((1.0, 8.0, 25.0, 60.0)))
        case "platform_partition":
            world.partition(worker, "no_platform", draw.choice((1.0, 8.0, 25.0, 60.0)))
        case "database_restart":
            world.restart_database(draw.choice((0.1, 2.0, 8.0)))
        case "clock_jump":
            victim.wall_offset = draw.choice((-7200.0, -30.0, 0.0, 30.0, 7200.0))
            world.note(victim, "its wall clock is off by {} s", victim.wall_offset)
        case "orderly_stop":
            world.note(worker, "is asked to stop")
            if worker.stop is not None:
                worker.call_later(0.0, worker.stop.set)
        case "park":
            world.start(_park(world, account.id, draw.choice((1.0, 6.0))))
        case "pause_lane":
            world.start(_pause(world, draw.choice(world.lanes), draw.choice((0.5, 4.0))))
        case "opt_out":
            world.start(opt_out(world, draw.choice(world.people).contact))
        case "cancel":
            world.start(_cancel(world))
        case "sessions_dropped":
            world.note(None, "a webhook flood of what was told before")
            for pending in account.told[-5:]:
                if not account.deduplicates:
                    world.start(post(world, account, pending, again=True))


async def _park(world: "World", account: UUID, seconds: float) -> None:
    subject = system_subject(world.tenant)
    world.note(None, "account {} is parked", account)
    if await ask(world, lambda tx: accounts.park(tx, subject, account)):
        await asyncio.sleep(seconds)
        await ask(world, lambda tx: accounts.unpark(tx, subject, account))


async def _pause(world: "World", lane: UUID, seconds: float) -> None:
    world.note(None, "lane {} pauses", lane)
    if await ask(world, lambda tx: delivery.pause_lane(tx, lane)):
        await asyncio.sleep(seconds)
        await ask(world, lambda tx: delivery.open_lane(tx, lane))


async def opt_out(world: "World", contact: UUID) -> None:
    world.note(None, "an operator opts {} out", contact)

    async def act(tx: Tx) -> None:
        resources = world.resources(world.processes[0])
        await consents.opt_out(tx, resources.vault, contact, source="operator", proof=None, at=world.true_time())

    await ask(world, act)


async def _cancel(world: "World") -> None:
    rows = world.wire.rows(
        "SELECT id FROM platforms.message WHERE tenant_id = $1 AND state = 'queued' ORDER BY id", world.tenant
    )
    if rows:
        message = world.nemesis.draw.choice(rows)["id"]
        await ask(world, lambda tx: delivery.cancel(tx, message))


async def reinstate(world: "World") -> None:
    """When all is well again, an operator signs the accounts in that were refused."""
    subject = system_subject(world.tenant)
    for account in world.platform.accounts.values():
        account.state = type(account.state).ONLINE
        (row,) = world.wire.rows("SELECT state FROM platforms.account WHERE id = $1", account.id)
        if row["state"] in ("banned", "signed_out"):
            await ask(world, lambda tx, it=account.id: accounts.sign_in_again(tx, subject, it))  # type: ignore[misc] # mypy and defaults
