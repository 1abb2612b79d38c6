"""What many accounts cost, and how long their messages stand still when a process that runs them is killed.

Simulated accounts of both flavours, shared by several delivery processes that nobody restarts and whose accounts
nobody frees: as in a cluster, where a dead machine is only known by its silence. The clock of the fail-over runs from
SIGKILL until every account has sent a message that was queued right after it.

Floor: as many bare connections to the simulated platform, opened as many at once.
"""

import asyncio
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from carillon.kernel.errors import SetupError
from carillon.platforms.connectors.simulator.ledger import read_ledger
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Draft, MessageKind
from carillon.runtime.sandbox import add_sandbox_accounts

from .measuring import Bench, Stage, cpu_split, option, result, stage
from .processes import Installation, allow_files, installation, until
from .simulating import NOBODY_SLEEPS, PEOPLE, none_left, simulator

_EACH = 500
"""Most accounts of one process."""
_AT_ONCE = 10
_NOT_ONLINE = "SELECT EXISTS (SELECT FROM platforms.account WHERE state <> 'online')"
_UNSENT = "SELECT EXISTS (SELECT FROM platforms.message WHERE state NOT IN ('sent', 'delivered', 'read'))"
_OWNED = """
SELECT w.name, count(l.id) AS accounts FROM platforms.worker w
LEFT JOIN platforms.account_lease l ON l.worker_id = w.id GROUP BY w.name
"""


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    count: int = option(1_000, "simulated accounts, half of each flavour")
    workers: int = option(3, "delivery processes; one is killed, the others must have room for all; 1: nobody dies")
    idle: int = option(20, "seconds during which nothing happens, to see what that costs")


async def run(options: Options) -> dict[str, Any]:
    """Measure once: each process dies only once."""
    if options.count > max(1, options.workers - 1) * _EACH:
        message = f"{options.count} accounts need more than {options.workers} workers of {_EACH} each when one dies"
        raise SetupError(message)
    allow_files()
    async with stage() as on, simulator(on) as address:
        bare = await _bare(address, options.count)
        await on.owner.execute(NOBODY_SLEEPS, on.tenant_id)
        names = [f"delivery-{number}" for number in range(1, options.workers + 1)]
        async with installation(on, names, workers=options.workers, simulator=address) as ours:
            await _enlisted(on, options.workers)
            before = ours.rss_mb()
            made = await add_sandbox_accounts(on.resources, on.tenant_id, each=max(1, options.count // 2))
            began = time.perf_counter()
            await none_left(on, _NOT_ONLINE, "all accounts to be online")
            online = time.perf_counter() - began
            memory = ours.rss_mb()
            with cpu_split(on.postmaster, ours=ours.pids) as cpu:
                await asyncio.sleep(options.idle)
            failover: dict[str, float] = {}
            if options.workers > 1:
                failover = await _fail_over(on, ours, names[0], made)
                _check(on, len(made))
        more = {
            "mb_per_account": round((memory - before) / len(made), 3),
            "idle_cores": {
                "client": round(cpu.client_seconds / options.idle, 3),
                "postgresql": round(cpu.postgresql_seconds / options.idle, 3),
            },
            "workers": options.workers,
            **failover,
        }
        return result("accounts", len(made), [online], [bare], memory, **more)


async def _bare(address: str, count: int) -> float:
    host, _, port = address.partition(":")
    gate, opened = asyncio.Semaphore(_AT_ONCE), list[asyncio.StreamWriter]()

    async def connect() -> None:
        async with gate:
            _, writer = await asyncio.open_connection(host, int(port))
            opened.append(writer)

    began = time.perf_counter()
    await asyncio.gather(*[connect() for _ in range(count)])
    seconds = time.perf_counter() - began
    for writer in opened:
        writer.close()
    return seconds


async def _enlisted(on: Stage, workers: int) -> None:
    async def all_there() -> bool:
        return len(await on.owner.fetch(_OWNED)) == workers

    await until(all_there, "the delivery processes")


async def _fail_over(on: Stage, ours: Installation, name: str, made: Sequence[UUID]) -> dict[str, float]:
    """Kill one process and see every account send: after how many seconds, and how many accounts it had."""
    victim = ours.processes[name]
    owned = {row["name"].rpartition(":")[2]: row["accounts"] for row in await on.owner.fetch(_OWNED)}
    people = await _people(on, len(made))
    victim.send_signal(signal.SIGKILL)
    began = time.perf_counter()
    await victim.wait()
    async with on.resources.database.transaction(on.tenant_id) as tx:
        for account_id, person in zip(made, people, strict=True):
            draft = Draft(account_id=account_id, contact_id=person, body="Hello", kind=MessageKind.REPLY)
            await delivery.accept(tx, draft)
    await none_left(on, _UNSENT, "every account to send")
    seconds = time.perf_counter() - began
    return {"failover_seconds": round(seconds, 3), "accounts_of_the_dead": owned[str(victim.pid)]}


async def _people(on: Stage, count: int) -> list[UUID]:
    await on.owner.execute(PEOPLE, on.tenant_id, count, 1)
    return [row["id"] for row in await on.owner.fetch("SELECT id FROM audience.contact")]


def _check(on: Stage, wanted: int) -> None:
    """Compare the platform's ledger with ours: one message from each account, and never two sessions of one."""
    ledger = read_ledger(on.resources.settings.data / "simulator.ledger")
    assert len(ledger.accepted) == wanted, f"the platform took {len(ledger.accepted)} messages instead of {wanted}"
    assert not ledger.duplicates, f"{len(ledger.duplicates)} messages were taken twice"
    assert not ledger.double_sessions, f"{ledger.double_sessions} times two sessions of one account"


BENCH = Bench(
    "accounts",
    "Run many simulated accounts in several processes and kill one; floor: bare connections to the same platform.",
    Options,
    run,
    size="count",
)
