"""The command line: `carillon --help`.

A command's module is imported when the command is called: a delivery process need not load the HTTP server.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer._click.exceptions import UsageError
from typer.core import TyperGroup
from typer.main import get_group

COMMANDS: Mapping[str, str] = {
    "up": "running",
    "run": "running",
    "migrate": "running",
    "demo": "proving",
    "bench": "proving",
    "import": "people",
    "accounts": "pool",
    "campaign": "sending",
    "delivery": "delivering",
    "jobs": "mending",
    "doctor": "operating",
    "backup": "operating",
    "restore": "operating",
    "audit": "operating",
    "version": "operating",
}
"""Command → module below `commands`, whose `app` holds it."""


class LazyGroup(TyperGroup):
    """Imports the module of a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """See `click.Group.list_commands`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """See `click.Group.get_command`."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"carillon.runtime.commands.{COMMANDS[cmd_name]}")
        return get_group(module.app).commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:
        """See `click.Command.invoke`; a program that asked for JSON is told in JSON that it asked wrongly."""
        from carillon.runtime.commands.shared import WANTS_JSON, show_error

        asked = WANTS_JSON.set("--json" in ctx.args)
        try:
            return super().invoke(ctx)
        except UsageError as error:
            show_error("usage", error.format_message())
            raise
        finally:
            WANTS_JSON.reset(asked)


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def carillon() -> None:
    """Carillon: one console for many Telegram and WhatsApp accounts."""


def main() -> None:
    """The entry point."""
    app()
