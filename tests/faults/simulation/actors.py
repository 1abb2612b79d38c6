"""Who acts in a history: the product's own processes, people, and chance."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from carillon.events.adapters.postgres import PostgresProgress
from carillon.events.runner import Runner
from carillon.kernel.ids import uuid7
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import InboundMessage
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery import webhooks
from carillon.platforms.delivery.consumers import consumers
from carillon.platforms.delivery.contracts import Draft
from carillon.platforms.delivery.worker import DeliveryWorker
from carillon.storage.database import Tx
from carillon.storage.errors import Contention, DatabaseUnreachable
from carillon.storage.resources import Resources

from . import operators
from .asking import ask
from .connector import encoded
from .loop import Life, Process
from .platform import SECRET, Pending, PlatformAccount

if TYPE_CHECKING:
    from .world import Person, World


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
                await _close_again(world, resources)
                await accounts.tick(resources)
        except (DatabaseUnreachable, Contention):
            continue


async def _close_again(world: "World", resources: Resources) -> None:
    """As the timetable of campaigns does: what was on its way when its campaign was cancelled may have come back."""
    for lane in world.lanes.values():
        if lane.closed:
            async with resources.database.transaction(world.tenant) as tx:
                await delivery.close_lane(tx, lane.id)


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
        if account.removed:
            return
        await asyncio.sleep(world.draw.uniform(0.2, 3.0))


async def person(world: "World") -> None:
    """People answer now and then; some want to hear nothing more."""
    number = 0
    while world.nemesis.active:
        await asyncio.sleep(world.draw.expovariate(1 / 2.0))
        number += 1
        who = _speaker(world)
        account = _account_of(world, who)
        text = f"question {number}"
        if world.nemesis.hits("opt_out", 0.15):
            text = "STOP"
        elif who.contact in world.oracle.opted_out:
            text = "START"
        world.note(None, "{} says {!r}", who.peer, text)
        message = InboundMessage(
            chat=who.peer, sender=who.peer, platform_id=f"in-{number}", text=text, at=world.true_time()
        )
        world.oracle.said(who, message)
        world.platform.tell(account, message)


def _speaker(world: "World") -> "Person":
    """Anybody; those who opted out change their mind more often than others have a question."""
    out = [each for each in world.people if each.contact in world.oracle.opted_out]
    return world.draw.choice(out if out and world.draw.random() < 0.25 else world.people)


def _account_of(world: "World", who: "Person") -> PlatformAccount:
    """An account that the person can write to and be written to from."""
    fitting = (each for each in world.platform.accounts.values() if each.deduplicates == (who.platform == "telegram"))
    return world.draw.choice([each for each in fitting if not each.removed])


async def operator(world: "World") -> None:
    """Users write direct messages; they are told of a message only once it is accepted."""
    while world.nemesis.active:
        await asyncio.sleep(world.draw.expovariate(1 / 2.0))
        who = world.draw.choice(world.people)
        world.start(write_to(world, _account_of(world, who).id, who.contact, uuid7()))


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
            world.jump(victim, "by the clock")
        case "database_clock_jump":
            world.jump_database(draw.choice((-10.0, 0.0, 10.0)))
        case "orderly_stop":
            world.note(worker, "is asked to stop")
            if worker.stop is not None:
                worker.call_later(0.0, worker.stop.set)
        case "park":
            world.start(operators.park(world, account, draw.choice((1.0, 6.0, 40.0))))
        case "remove_account":
            world.start(operators.remove(world, account))
        case "pause_lane":
            world.start(operators.pause(world, draw.choice(list(world.lanes.values())), draw.choice((0.5, 4.0))))
        case "close_lane":
            world.start(operators.close(world, draw.choice(list(world.lanes.values()))))
        case "opt_out":
            world.start(operators.opt_out(world, draw.choice(world.people).contact))
        case "withdraw":
            world.start(operators.withdraw(world, draw.choice(world.people).contact))
        case "cancel":
            world.start(operators.cancel(world))
        case "resend":
            world.start(operators.resend(world))
        case "sessions_dropped":
            world.note(None, "a webhook flood of what was told before")
            for pending in account.told[-5:]:
                if not account.deduplicates:
                    world.start(post(world, account, pending, again=True))
