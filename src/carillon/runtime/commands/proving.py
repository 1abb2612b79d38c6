"""`demo` and `bench`: the claims, shown."""

from typing import Annotated

import typer

from carillon.kernel.errors import CarillonError
from carillon.ops.logs import configure as configure_logs
from carillon.runtime.compose import prepare
from carillon.runtime.demo.people import ROWS
from carillon.runtime.demo.scenario import fresh, run_demo

from .shared import AsJson, console, fail, read_settings, run, show

app = typer.Typer()


@app.command()
def demo(
    rows: Annotated[int, typer.Option(help="Rows of the contact file.", min=200)] = ROWS,
    seed: Annotated[int, typer.Option(help="Another seed, other people and misfortunes.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Run the main job once, kill the worker twice on the way, and compare the platform's ledger with ours."""
    settings = fresh(read_settings())
    configure_logs("warning", "console")
    try:
        prepared = prepare(settings)
        try:
            report = run(
                run_demo(settings, prepared, rows=rows, seed=seed, say=lambda line: console.print(f"· {line}"))
            )
        finally:
            if prepared.cluster is not None:
                prepared.cluster.stop("fast")
    except CarillonError as error:
        raise fail(error) from error
    show(report.as_json(), as_json=as_json, text=report.as_text)
    if not report.proven:
        raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Which figure; all are listed when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a published figure against the machine's own floor: `carillon bench plan --messages 1000000 --json`."""
    from carillon.runtime.bench import BENCHES

    if name is None or name in ("--help", "-h"):
        show(
            {bench.name: bench.help for bench in BENCHES.values()},
            as_json=as_json,
            text=lambda: "\n".join(f"{bench.name:10} {bench.help}" for bench in BENCHES.values()),
        )
        return
    if name not in BENCHES:
        message = f"there is no bench {name}; there are {', '.join(BENCHES)}"
        raise typer.BadParameter(message)
    chosen = BENCHES[name]
    configure_logs("warning", "console")
    try:
        figures = run(chosen.measure(context.args))
    except CarillonError as error:
        raise fail(error) from error
    show(figures, as_json=as_json, text=lambda: "\n".join(f"{key:16} {value}" for key, value in figures.items()))
    if figures.get("failed"):
        raise typer.Exit(1)
