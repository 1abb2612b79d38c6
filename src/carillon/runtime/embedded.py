"""Everything on one machine: which programs `carillon up` keeps running, and how they find each other."""

import asyncio
import os
import sys

from carillon.kernel.errors import SetupError
from carillon.ops import lifeline
from carillon.ops.settings import Settings
from carillon.platforms.delivery import api as delivery
from carillon.storage.resources import Resources

from .compose import Prepared
from .roles import process_name
from .supervisor import OnDeath, Program

SIMULATOR_START = 15.0


def programs(on_death: OnDeath, *, workers: int = 1) -> list[Program]:
    """One process per role; delivery workers by number."""
    run = ("-m", "carillon.runtime", "run")
    return [
        Program("api", (*run, "api")),
        Program("background", (*run, "events", "jobs")),
        *[Program(f"delivery-{number}", (*run, "delivery"), on_death) for number in range(1, workers + 1)],
    ]


def free_accounts_of(resources: Resources) -> OnDeath:
    """Called with the pid of a reaped delivery process: its accounts are free at once.

    The process is gone for certain, and with it every socket, so nobody needs to wait for its lease to run out.
    """

    async def free(pid: int) -> None:
        async with resources.database.across_tenants() as tx:
            await delivery.retire_process(tx, process_name(pid))
            await tx.execute("NOTIFY carillon_lease")

    return free


async def start_simulator(settings: Settings, *arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    """Start the simulated platform beside us; returns its process and address.

    Raises:
        SetupError: It did not come up.
    """
    ledger = settings.data / "simulator.ledger"
    with (settings.data / "logs" / "simulator.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "carillon.platforms.connectors.simulator",
            "--ledger",
            str(ledger),
            *arguments,
            # Never written: it closes when we die, and the simulator ends with us.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, lifeline.VARIABLE: "1"},
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), SIMULATOR_START)
    except TimeoutError:
        line = b""
    if not line.strip():
        message = f"the simulator did not start; see {settings.data / 'logs' / 'simulator.log'}"
        raise SetupError(message)
    return process, line.decode().strip()


def child_environment(settings: Settings, prepared: Prepared, simulator: str | None) -> dict[str, str]:
    """What children need to know beside our own environment; the database is prepared, so they only connect."""
    environment = {
        "CARILLON_APP_DATABASE_URL": prepared.app_url,
        "CARILLON_WORKER_DATABASE_URL": prepared.worker_url,
        "CARILLON_DATA": str(settings.data),
        "CARILLON_HOST": settings.host,
        "CARILLON_PORT": str(settings.port),
        "CARILLON_ALLOW_NETWORKS": ",".join(settings.allow_networks),
    }
    if simulator is not None:
        environment["CARILLON_SIMULATOR"] = simulator
    return environment
