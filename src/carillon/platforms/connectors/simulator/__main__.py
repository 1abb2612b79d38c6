"""Runs the simulated platform; prints its address as one line, host:port, when it is ready."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from carillon.ops import lifeline

from .behaviour import PROFILES, BadBehaviour, Behaviour, behaviour_from
from .server import SimulatorServer


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT; a wrong setting ends the program with status 2 and its name."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        behaviour = _behaviour(options)
    except (BadBehaviour, ValueError, OSError) as error:
        parser.error(str(error))
    if not 0 < options.speed < float("inf"):
        parser.error("--speed is greater than 0")
    asyncio.run(_run(options, behaviour))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ledger", type=Path, required=True, help="file of what was accepted; kept and appended")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="quiet")
    parser.add_argument("--behaviour", type=Path, help="JSON file of settings, laid over the profile")
    parser.add_argument("--speed", type=float, default=1.0, help="divides every delay")
    parser.add_argument("--fsync", action="store_true", help="survive a power cut, slowly")
    parser.add_argument("--secret", help="what every session must know")
    for spec in fields(Behaviour):
        parser.add_argument(f"--{spec.name.replace('_', '-')}", dest=f"b_{spec.name}", metavar="VALUE")
    return parser


def _behaviour(options: argparse.Namespace) -> Behaviour:
    """The profile, then the file, then the flags."""
    behaviour = PROFILES[options.profile]
    if options.behaviour is not None:
        behaviour = behaviour_from(json.loads(options.behaviour.read_text("utf-8")), behaviour)
    flags = {
        name.removeprefix("b_"): value
        for name, value in vars(options).items()
        if name.startswith("b_") and value is not None
    }
    return behaviour_from(flags, behaviour)


async def _run(options: argparse.Namespace, behaviour: Behaviour) -> None:
    how = {"speed": options.speed, "fsync": options.fsync, "secret": options.secret}
    server = SimulatorServer(options.ledger, behaviour, **how)
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    lifeline.hold()
    sys.stdout.write(await server.start(options.port) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    await server.close()


if __name__ == "__main__":
    main()
