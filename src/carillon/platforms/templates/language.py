"""The template language: text with `{{ name }}` and `{{ fields.city | default: "your town" }}`, and nothing else.

    template = { text | "{{" variable "}}" }
    variable = name [ "|" "default" ":" quoted ]
    name     = "name" | "first_name" | "last_name" | "fields." key
    key      = 1 to 64 characters, none of them space . | { } " or '
    quoted   = text without the quote, between two " or two '

Spaces around the parts do not matter. `{{` and `}}` always delimit a variable; neither can be written as text, but a
default or a value may hold them. There is no logic, no call and no way to reach anything but the given values: what a
tenant writes can only ever become text. A value is put in as it is and never read as a template again. Reading takes
time in proportion to the length.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from .errors import BadTemplate, MissingVariable

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_VARIABLE = re.compile(
    r"""\s*(?P<name>[a-z_]+(?:\.[^\s.|{}"']{1,64})?)\s*(?:\|\s*default\s*:\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')\s*)?"""
)
LONGEST = 10_000
"""Characters; more than any platform takes, so that a default or a long word never makes a template useless."""

NAMES = ("name", "first_name", "last_name")
"""Variables beside `fields.<key>`."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A hole in the text; without a default it must be filled."""

    name: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template.

    Attributes:
        parts: Literal texts and variables in order.
    """

    parts: tuple[str | Variable, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """All variables, once each, in order."""
        return tuple(dict.fromkeys(part.name for part in self.parts if isinstance(part, Variable)))

    @property
    def required(self) -> tuple[str, ...]:
        """Variables without a default."""
        names = (part.name for part in self.parts if isinstance(part, Variable) and part.default is None)
        return tuple(dict.fromkeys(names))

    def render(self, values: Mapping[str, str]) -> str:
        """The text with the values put in; empty ones count as missing.

        Raises:
            MissingVariable: A required one is missing; `place` names it.
        """
        return "".join([part if isinstance(part, str) else _fill(part, values) for part in self.parts])


def _fill(variable: Variable, values: Mapping[str, str]) -> str:
    value = values.get(variable.name)
    if value:
        return value
    if variable.default is None:
        raise MissingVariable(place=f"variable {variable.name}")
    return variable.default


@lru_cache(maxsize=2_000)
def compile_text(text: str) -> Template:
    """Read a template in one pass from left to right.

    Raises:
        BadTemplate: With the place, e.g. `character 12` (counted from 1).
    """
    _check_characters(text)
    parts: list[str | Variable] = []
    end = 0
    while (start := text.find("{{", end)) >= 0:
        close = text.find("}}", start + 2)
        if close < 0:
            raise _unpaired("{{", start)
        parts += (_literal(text[end:start], end), _variable(text[start + 2 : close], start))
        end = close + 2
    parts.append(_literal(text[end:], end))
    return Template(tuple(part for part in parts if part != ""))


def _check_characters(text: str) -> None:
    """Refuse what cannot be stored or sent."""
    if len(text) > LONGEST:
        raise BadTemplate(f"A template has at most {LONGEST} characters.", place=f"character {LONGEST + 1}")
    bad = _UNSTORABLE.search(text)
    if bad is not None:
        raise BadTemplate("This character cannot be sent.", place=f"character {bad.start() + 1}")


def _literal(text: str, offset: int) -> str:
    found = text.find("}}")
    if found >= 0:
        raise _unpaired("}}", offset + found)
    return text


def _unpaired(mark: str, offset: int) -> BadTemplate:
    return BadTemplate(f"{mark} without its counterpart.", place=f"character {offset + 1}")


def _variable(inside: str, offset: int) -> Variable:
    place = f"character {offset + 1}"
    match = _VARIABLE.fullmatch(inside)
    if match is None:
        message = 'Write {{ name }} or {{ name | default: "text" }}.'
        raise BadTemplate(message, place=place)
    name = match["name"]
    if name not in NAMES and not (name.startswith("fields.") and len(name) > len("fields.")):
        message = f"There is no variable {name}; there are {', '.join(NAMES)} and fields.<key>."
        raise BadTemplate(message, place=place)
    default = match["double"] if match["double"] is not None else match["single"]
    return Variable(name, default)
