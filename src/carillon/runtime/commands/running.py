"""`up` and `run`: the product in one process tree, or some roles of it."""

import asyncio
import signal
import socket
import urllib.error
import urllib.request
from typing import Annotated

import typer

from carillon.identity.auth.contracts import FirstLogin
from carillon.kernel.errors import CarillonError, SetupError
from carillon.ops import counting
from carillon.ops.settings import Settings
from carillon.runtime import embedded
from carillon.runtime.compose import Prepared, open_resources, prepare
from carillon.runtime.roles import Role, run_roles
from carillon.runtime.supervisor import Supervisor
from carillon.storage.migrate import head

from .shared import AsJson, console, fail, local, read_settings, run, show, start_logs

app = typer.Typer()
_READY_WITHIN = 60.0


@app.command()
def up(
    workers: Annotated[int, typer.Option(help="Delivery processes.", min=1, max=16)] = 1,
    simulator: Annotated[bool, typer.Option(help="Run the simulated platform beside it.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object once it is ready.")] = False,
) -> None:
    """Run the whole product on this machine; Ctrl-C ends it."""
    settings = read_settings()
    start_logs(settings.log_level, "console")
    local(lambda settings, prepared: _up(settings, prepared, workers=workers, simulator=simulator, as_json=as_json))


async def _up(settings: Settings, prepared: Prepared, *, workers: int, simulator: bool, as_json: bool) -> None:
    from carillon.identity.auth import api as auth
    from carillon.runtime.sandbox import add_sandbox_accounts

    _check_port(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    logs = settings.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    platform, address = None, settings.simulator
    if simulator and address is None:
        platform, address = await embedded.start_simulator(settings, "--profile", "demo")
    async with open_resources(settings, prepared, worker=True, name="carillon supervisor") as resources:
        first = await auth.bootstrap(resources)
        if first is not None and address is not None:
            await add_sandbox_accounts(resources, first.tenant_id)
        supervisor = Supervisor(
            embedded.programs(embedded.free_accounts_of(resources), workers=workers),
            logs=logs,
            environment=embedded.child_environment(settings, prepared, address),
            metrics=counting.prepare(settings.data / "metrics"),
        )
        announcing = asyncio.create_task(_announce(settings, first, as_json=as_json))
        try:
            await supervisor.run(stop)
        finally:
            if not announcing.done() and first is not None:
                # It is stored nowhere: whoever ends this before it is ready must see it all the same.
                console.print(_login_line(first), highlight=False)
            announcing.cancel()
            if platform is not None and platform.returncode is None:
                platform.terminate()
                await platform.wait()


def _check_port(settings: Settings) -> None:
    """Refuse before anything starts, rather than let the API process fail again and again in its log."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            message = f"{where} cannot be used ({error.strerror}); choose another port: CARILLON_PORT=8421"
            raise SetupError(message) from error


async def _announce(settings: Settings, first: FirstLogin | None, *, as_json: bool) -> None:
    """Say where it is, once it answers: that is what the command is for, so it goes to standard output."""
    address = f"http://{settings.host}:{settings.port}"
    try:
        async with asyncio.timeout(_READY_WITHIN):
            while not await asyncio.to_thread(_answers, f"{address}/readyz"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        console.print(f"[red]Not ready after {_READY_WITHIN:.0f} s[/red]; see {settings.data / 'logs'}")
        if first is not None:
            console.print(_login_line(first), highlight=False)
        return
    login = None if first is None else {"email": first.email, "password": first.password}
    ready = {"address": address, "docs": f"{address}/api/v1/docs", "first_login": login}
    lines = [f"Carillon is ready at {address} (API: {address}/api/v1/docs)", "Ctrl-C ends it."]
    if first is not None:
        lines.insert(1, _login_line(first))
    show(ready, as_json=as_json, text=lambda: "\n".join(lines))


def _login_line(first: FirstLogin) -> str:
    return f"First login, shown this once:  {first.email}  {first.password}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


@app.command("run")
def run_role(
    roles: Annotated[list[Role], typer.Argument(help="What this process does.")],
) -> None:
    """Run some roles in this process, beside others on the same database."""
    settings = read_settings()
    start_logs(settings.log_level, settings.log_format)
    try:
        prepared = prepare(settings)
        run(run_roles(roles, settings, prepared))
    except CarillonError as error:
        raise fail(error) from error


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the database to this program's version."""

    async def nothing(_settings: Settings, _prepared: Prepared) -> None:
        return None

    local(nothing)
    show({"schema": head()}, as_json=as_json, text=lambda: f"The database is at version {head()}.")
