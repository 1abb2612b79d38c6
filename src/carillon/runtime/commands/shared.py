"""What every command needs: settings, a running database, output for people or programs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from carillon.identity.tenants import api as tenants
from carillon.identity.tenants.contracts import Tenant
from carillon.kernel.errors import CarillonError, SetupError
from carillon.ops.logs import configure as configure_logs
from carillon.ops.settings import Settings
from carillon.runtime.compose import Prepared, open_resources, prepare
from carillon.storage.resources import Resources

T = TypeVar("T")
console = Console(stderr=True, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
TenantSlug = Annotated[str, typer.Option("--tenant", help="Slug of the tenant.")]


def show(value: Any, *, as_json: bool, text: Callable[[], str] | None = None) -> None:
    """A result on standard output: JSON for programs, else text."""
    if as_json or text is None:
        sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    else:
        sys.stdout.write(text() + "\n")
    sys.stdout.flush()


WANTS_JSON = ContextVar("wants_json", default=False)
"""The command was called with `--json`."""


def show_error(code: str, message: str, *, place: str | None = None, data: Mapping[str, Any] | None = None) -> None:
    """What went wrong, for a program that asked for JSON: `{"error": {"code", "message", "place", "data"}}`."""
    if WANTS_JSON.get():
        error = {"code": code, "message": message, "place": place, "data": dict(data or {})}
        show({"error": error}, as_json=True)


def table(rows: list[dict[str, Any]], empty: str) -> str:
    """Rows in aligned columns, or what to say when there are none."""
    if not rows:
        return empty
    cells = [[str(name) for name in rows[0]], *[["" if v is None else str(v) for v in row.values()] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine on the fast event loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def fail(error: CarillonError) -> typer.Exit:
    """Tell a person what is wrong, with the code to look up, and a program if it asked; exit status 1."""
    show_error(error.code, error.message, place=error.place, data=error.data)
    console.print(f"[red]{error.code}[/red]: {escape(str(error))}", highlight=False)
    return typer.Exit(1)


def read_settings() -> Settings:
    """The settings from the environment; what is wrong is named by its variable, and its value is not repeated.

    Raises:
        typer.Exit: After saying what is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"CARILLON_{'_'.join(map(str, found['loc'])).upper()}: {found['msg']}"
            for found in error.errors(include_url=False, include_input=False)
        )
        raise fail(SetupError(wrong)) from error


def start_logs(level: str, form: str) -> None:
    """Log as the operator wants it.

    Raises:
        typer.Exit: There is no such level.
    """
    try:
        configure_logs(level, form)
    except KeyError as error:
        raise fail(SetupError("CARILLON_LOG_LEVEL is one of debug, info, warning, error")) from error


def local(work: Callable[[Settings, Prepared], Coroutine[Any, Any, T]]) -> T:
    """Run work against this machine's database, starting the embedded one for as long if need be."""
    settings = read_settings()
    try:
        prepared = prepare(settings)
        try:
            return run(work(settings, prepared))
        finally:
            if prepared.cluster is not None and prepared.cluster.owned:
                prepared.cluster.stop("fast")
    except CarillonError as error:
        raise fail(error) from error


def with_resources(work: Callable[[Resources], Awaitable[T]]) -> T:
    """Run work with the workers' role."""

    async def main(settings: Settings, prepared: Prepared) -> T:
        async with open_resources(settings, prepared, worker=True, name="carillon command") as resources:
            return await work(resources)

    return local(main)


@asynccontextmanager
async def tenant_of(resources: Resources, slug: str) -> AsyncIterator[Tenant]:
    """The tenant a command works for.

    Raises:
        TenantNotFound: There is none of this slug.
    """
    async with resources.database.across_tenants() as tx:
        found = await tenants.find_tenant(tx, slug)
    yield found
