"""What people at the console do in a history: park, pause, cancel, remove, opt out, withdraw a consent, send again."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Action, Actor, ConsentEntry, Source
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import RESENT
from carillon.storage.database import Tx

from .asking import ask
from .setting import write

if TYPE_CHECKING:
    from .platform import PlatformAccount
    from .world import Lane, World

_QUEUED = "SELECT id FROM platforms.message WHERE tenant_id = $1 AND state = 'queued' ORDER BY id"
_UNKNOWN = """
SELECT id FROM platforms.message
WHERE tenant_id = $1 AND state = 'unknown' AND reason IS DISTINCT FROM $2 ORDER BY id
"""


async def begin(world: "World", lane: "Lane") -> None:
    """A campaign is planned if it is not yet, and goes out."""

    async def act(tx: Tx) -> None:
        await write(tx, lane.plan)
        await delivery.open_lane(tx, lane.id)

    await asyncio.sleep(world.draw.uniform(0.0, 5.0))
    async with lane.steps:
        if not lane.closed:
            await ask(world, act)


async def pause(world: "World", lane: "Lane", seconds: float) -> None:
    """Pause a campaign for a while."""
    if lane.closed:
        return
    world.note(None, "lane {} pauses", lane.id)
    async with lane.steps:
        paused = await ask(world, lambda tx: delivery.pause_lane(tx, lane.id))
    await asyncio.sleep(seconds)
    async with lane.steps:
        if paused and not lane.closed:
            await ask(world, lambda tx: delivery.open_lane(tx, lane.id))


async def close(world: "World", lane: "Lane") -> None:
    """Cancel a campaign."""
    async with lane.steps:
        if lane.closed:
            return
        world.note(None, "lane {} is cancelled", lane.id)
        lane.closed = True
        await ask(world, lambda tx: delivery.close_lane(tx, lane.id))


async def park(world: "World", account: "PlatformAccount", seconds: float) -> None:
    """Park an account for a while."""
    subject = system_subject(world.tenant)
    world.note(None, "account {} is parked", account.id)
    if await ask(world, lambda tx: accounts.park(tx, subject, account.id)):
        world.oracle.stopped(account)
        await asyncio.sleep(seconds)
        world.oracle.may_start(account)
        await ask(world, lambda tx: accounts.unpark(tx, subject, account.id))


async def remove(world: "World", account: "PlatformAccount") -> None:
    """Remove an account; one of each platform stays."""
    others = [each for each in world.platform.accounts.values() if each.deduplicates == account.deduplicates]
    if account.removed or all(each.removed for each in others if each is not account):
        return
    subject = system_subject(world.tenant)
    world.note(None, "account {} is removed", account.id)
    account.removed = True
    await ask(world, lambda tx: accounts.remove(tx, subject, account.id))
    world.oracle.stopped(account)


async def opt_out(world: "World", contact: UUID) -> None:
    """Opt a person out."""
    world.note(None, "an operator opts {} out", contact)

    async def act(tx: Tx) -> None:
        resources = world.resources(world.processes[0])
        await consents.opt_out(tx, resources.vault, contact, source="operator", proof=None, at=world.true_time())

    await ask(world, act)


async def withdraw(world: "World", contact: UUID) -> None:
    """Write down that a person does not agree to marketing any more."""
    world.note(None, "an operator withdraws the consent of {}", contact)
    actor = Actor.of(system_subject(world.tenant))
    entry = ConsentEntry(contact, "marketing", Action.WITHDRAWN, Source.OPERATOR, world.true_time(), actor)
    if await ask(world, lambda tx: consents.record(tx, entry)):
        world.rules.refused.setdefault(contact, world.loop.time())


async def cancel(world: "World") -> None:
    """Take a queued message back."""
    rows = world.wire.rows(_QUEUED, world.tenant)
    if rows:
        message = world.nemesis.draw.choice(rows)["id"]
        await ask(world, lambda tx: delivery.cancel(tx, message))


async def resend(world: "World") -> None:
    """Two people decide at the same moment to send a message again whose outcome is unknown."""
    rows = world.wire.rows(_UNKNOWN, world.tenant, RESENT)
    if rows:
        message = world.nemesis.draw.choice(rows)["id"]
        await asyncio.gather(_resend(world, message), _resend(world, message))


async def _resend(world: "World", message: UUID) -> None:
    """Asked once: who gets no answer looks before asking again."""
    made: list[UUID] = []

    async def act(tx: Tx) -> None:
        made.append((await delivery.resend(tx, message, None)).id)

    world.note(None, "a person sends message {} again", message)
    if await ask(world, act, tries=1):
        world.oracle.promised(made[-1])


async def reinstate(world: "World") -> None:
    """When all is well again, an operator signs the accounts in that were refused."""
    subject = system_subject(world.tenant)
    for account in world.platform.accounts.values():
        account.state = type(account.state).ONLINE
        (row,) = world.wire.rows("SELECT state FROM platforms.account WHERE id = $1", account.id)
        if row["state"] in ("banned", "signed_out") and not account.removed:
            await ask(world, lambda tx, it=account.id: accounts.sign_in_again(tx, subject, it))  # type: ignore[misc] # mypy and defaults
