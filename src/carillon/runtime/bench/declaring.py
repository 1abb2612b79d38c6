"""How a bench is declared, read from the command line, and run at two sizes to see how its cost grows."""

import argparse
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any


def option(default: int | str, text: str, *, choices: Sequence[str] = ()) -> Any:
    """A field of a bench's options: `--name` on the command line, with its help; a positive number or a text."""
    return field(default=default, metadata={"help": text, "choices": choices or None})


@dataclass(frozen=True, slots=True)
class Bench:
    """A published figure.

    Attributes:
        name: On the command line.
        help: What it measures, and against which floor.
        options: A frozen dataclass of numbers and texts made with `option`.
        run: Measures; given an instance of `options`.
        size: The option that says how much work it is; `--slope` runs it at a part of that first. Empty for a bench
            whose work has no size.
    """

    name: str
    help: str
    options: type[Any]
    run: Callable[[Any], Coroutine[Any, Any, dict[str, Any]]]
    size: str = ""

    def parse(self, arguments: Sequence[str]) -> Any:
        """Options from the words behind the bench's name; ends the program on a wrong one."""
        return self._read(arguments)[0]

    async def measure(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Run it as the command line says; with `--slope 10` also at a tenth of its size, before.

        The result then has `slope`, the exponent with which the seconds grow with the size (1.0 is linear), and
        `sizes` with what it is made of.
        """
        options, factor = self._read(arguments)
        if factor == 1:
            return await self.run(options)
        whole = getattr(options, self.size)
        smaller = await self.run(replace(options, **{self.size: max(1, whole // factor)}))
        larger = await self.run(options)
        kept = ("count", "seconds", "rate", "ratio", "rss_mb")
        sizes = [{name: one[name] for name in kept} for one in (smaller, larger)]
        return {**larger, "slope": slope(sizes), "sizes": sizes}

    def _read(self, arguments: Sequence[str]) -> tuple[Any, int]:
        parser = argparse.ArgumentParser(prog=f"carillon bench {self.name}", description=self.help)
        for item in fields(self.options):
            assert item.default is not MISSING
            flag = f"--{item.name.replace('_', '-')}"
            kind = str if isinstance(item.default, str) else _positive
            choices = item.metadata["choices"]
            parser.add_argument(flag, type=kind, choices=choices, default=item.default, help=item.metadata["help"])
        if self.size:
            text = f"run at --{self.size.replace('_', '-')} divided by this first, and tell how the cost grows"
            parser.add_argument("--slope", type=_positive, default=1, help=text)
        given = vars(parser.parse_args(list(arguments)))
        factor = given.pop("slope", 1)
        return self.options(**given), factor


def slope(sizes: Sequence[Mapping[str, float]]) -> float:
    """The exponent of growth between the first and the last size: 1.0 means ten times the work takes ten times long."""
    first, last = sizes[0], sizes[-1]
    if first["count"] == last["count"]:
        message = "a slope needs two different sizes"
        raise ValueError(message)
    return round(math.log(last["seconds"] / first["seconds"]) / math.log(last["count"] / first["count"]), 3)


def _positive(text: str) -> int:
    value = int(text.replace("_", ""))
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value
