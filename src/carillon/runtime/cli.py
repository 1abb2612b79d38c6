"""The command line: `carillon --help`."""

import typer

from carillon import __version__

from .commands import operating, people, pool, proving, running, sending

app = typer.Typer(
    help="Carillon: one console for many Telegram and WhatsApp accounts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("up")(running.up)
app.command("run")(running.run_role)
app.command("migrate")(running.migrate)
app.command("demo")(proving.demo)
app.command("bench")(proving.bench)
app.command("import")(people.import_file)
app.command("doctor")(operating.doctor)
app.command("backup")(operating.backup)
app.command("restore")(operating.restore)
app.add_typer(pool.app, name="accounts")
app.add_typer(sending.app, name="campaign")
app.add_typer(operating.audit_app, name="audit")


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """The entry point."""
    app()
