"""What a history begins with: a tenant, accounts, people who agreed, and planned campaigns."""

from datetime import timedelta
from random import Random

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from carillon.audience.contacts.models import contact as contact_table
from carillon.audience.contacts.models import identity as identity_table
from carillon.kernel.ids import uuid7
from carillon.platforms.accounts.models import account as account_table
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Plan, PoolAccount, Schedule, Variant
from carillon.storage.database import Tx
from tests.fixtures.database import VAULT, make_tenant

from .clocks import EPOCH
from .platform import SECRET, PlatformAccount
from .rules import ZONES
from .world import Lane, Person, World

CONSENTS = {name: {"*": {"status": "granted", "until": None}} for name in ("marketing", "service")}
_POLICY = """
INSERT INTO audience.policy (tenant_id, quiet_start, quiet_end, frequency_max, frequency_days, time_zone)
VALUES ($1, $2, $3, $4, 7, 'UTC')
"""
FLAVOURS = {"telegram": ("keeping", "telegram_id"), "custom": ("forgetting", "custom_id")}


def settle_in(world: World) -> None:
    """Accounts, people, campaigns: made without faults before time begins."""
    draw = Random(f"setting {world.seed}")
    wire, rules = world.wire, world.rules

    async def setting() -> None:
        world.tenant = await make_tenant(wire.owner)
        await wire.owner.execute(_POLICY, world.tenant, *rules.quiet, rules.cap)
        async with wire.database.transaction(world.tenant) as tx:
            for platform in draw.choice((("telegram",), ("custom",), ("telegram", "custom"), ("telegram", "custom"))):
                await _populate(world, tx, draw, platform)

    wire.run(setting())
    world.messages = wire.rows("SELECT count(*) AS n FROM platforms.message")[0]["n"]


async def _populate(world: World, tx: Tx, draw: Random, platform: str) -> None:
    connector, kind = FLAVOURS[platform]
    pool = []
    for _ in range(draw.choice((1, 1, 2, 2))):
        account = uuid7()
        secret = VAULT.seal(SECRET, tenant_id=world.tenant, account_id=account, version=1)
        await tx.execute(
            insert(account_table).values(
                tenant_id=tx.tenant,
                id=account,
                connector=connector,
                platform=platform,
                name="account",
                address=str(account),
                state="new",
                secret=secret,
                secret_version=1,
            )
        )
        world.platform.accounts[account] = PlatformAccount(account, deduplicates=platform == "telegram")
        pool.append(PoolAccount(account, platform))
    for _ in range(draw.choice((4, 8, 8, 16))):
        world.people.append(await _add_person(world, tx, platform, kind, f"{len(world.people) + 1000}"))
    for number in range(draw.choice((1, 1, 2))):
        plan = _plan(world, pool, platform)
        world.lanes[plan.campaign_id] = Lane(plan)
        if number == 0:
            await write(tx, plan)


async def write(tx: Tx, plan: Plan) -> None:
    """Plan a campaign; to repeat it adds nobody twice."""
    await delivery.write_contents(tx, plan)
    await delivery.plan_slice(tx, plan, None, 1_000)


def _plan(world: World, pool: list[PoolAccount], platform: str) -> Plan:
    return Plan(
        campaign_id=uuid7(),
        members=select(contact_table).where(contact_table.c.tenant_id == world.tenant),
        platforms=[platform],
        accounts=pool,
        variants=[Variant("A", 1, {"": "Hello"})],
        schedule=Schedule(at=EPOCH - timedelta(seconds=1)),
        now=EPOCH,
    )


async def _add_person(world: World, tx: Tx, platform: str, kind: str, peer: str) -> Person:
    contact = uuid7()
    number, consents = int(peer), dict(CONSENTS)
    world.rules.zones[contact] = zone = ZONES[number % len(ZONES)]
    if number % 8 == 3:
        del consents["marketing"]
        world.rules.refused[contact] = 0.0
    await tx.execute(
        insert(contact_table).values(
            tenant_id=tx.tenant,
            id=contact,
            name=f"Person {peer}",
            peers={platform: peer},
            consents=consents,
            time_zone=zone,
        )
    )
    await tx.execute(
        insert(identity_table).values(
            tenant_id=tx.tenant, id=uuid7(), contact_id=contact, platform=platform, kind=kind, value=peer
        )
    )
    return Person(contact, platform, peer)
