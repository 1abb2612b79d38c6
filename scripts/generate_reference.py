"""Write the generated pages of docs/reference from the code; `tests/unit/test_reference_is_current.py` compares.

Usage: .venv/bin/python scripts/generate_reference.py
"""

import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeGuard

from fastapi.routing import APIRoute, iter_route_contexts
from pydantic_core import PydanticUndefined

import carillon
from carillon.events import catalog
from carillon.events.catalog.base import Event
from carillon.gateway.routing import OpenRoute, TransactionalRoute
from carillon.identity.roles.builtin import BUILTIN_ROLES
from carillon.kernel.clock import SystemClock
from carillon.kernel.errors import CarillonError
from carillon.kernel.permissions import Permission
from carillon.ops.settings import Settings
from carillon.runtime.application import build_app, consumers
from carillon.storage.blobs import Blobs
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from carillon.storage.vault import Vault

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
_HEAD = "<!-- Written by scripts/generate_reference.py: change the code, then run it again. -->\n"
_ENTRY = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
_CODES_OF_GATEWAY = (
    (404, "unknown_route", "There is no such address."),
    (405, "method_not_allowed", "The address does not take this method; `Allow` names those it takes."),
    (422, "invalid_fields", "Fields are not valid; `errors` names each with its place."),
    (500, "internal_error", "Something went wrong on our side; it has been logged."),
)


def documents() -> Mapping[str, str]:
    """Every generated page by its file name."""
    return {
        "configuration.md": configuration(),
        "errors.md": errors(),
        "events.md": events(),
        "permissions.md": permissions(),
    }


def configuration() -> str:
    """What `Settings` takes."""
    described = _attributes(Settings)
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default_factory if field.default is PydanticUndefined else field.default
        rows.append((f"`CARILLON_{name.upper()}`", _setting_default(name, default), described[name]))
    return _page(
        "Configuration",
        "Everything is read from environment variables, and everything has a default that works on one machine. Lists "
        "are separated by commas. A `.env` file is not read; a service manager or a shell sets the variables.",
        _table(("variable", "default", "meaning"), rows),
    )


def _setting_default(name: str, default: Any) -> str:
    if name == "data":
        return "`$XDG_DATA_HOME/carillon`, else `~/.local/share/carillon`"
    if default is None or default == ():
        return "none"
    return f"`{default}`"


def errors() -> str:
    """Every stable code."""
    found: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for kind in _subclasses(CarillonError):
        found[kind.status][kind.code].add(_first_line(kind))
    for status, code, text in _CODES_OF_GATEWAY:
        found[status][code].add(text)
    parts = []
    for status in sorted(found):
        rows = [(f"`{code}`", " / ".join(sorted(texts))) for code, texts in sorted(found[status].items())]
        parts.append(f"## {status}\n\n{_table(('code', 'meaning'), rows)}")
    return _page(
        "Error codes",
        "Every refusal carries a stable `code`: decide by it, show `detail` to people. Over HTTP it is a problem "
        "(RFC 9457, `application/problem+json`) with `type`, `title`, `status`, `code`, `detail`, `request_id` and, "
        "where they help, `place` (a field, row or byte), `data` and `errors`. The command line prints the same code "
        "and text and ends with status 1. Codes of connectors (`not_sent`, `flooded`, …) and of set-up are not sent "
        "over HTTP by themselves; they stand here because messages and logs carry them.",
        "\n\n".join(parts),
    )


def events() -> str:
    """The catalogue."""
    listeners: dict[type[Event], list[str]] = defaultdict(list)
    for consumer in consumers({}).values():
        for kind in consumer.events:
            listeners[kind].append(consumer.name)
    parts = []
    for module in _modules(catalog):
        kinds = [kind for kind in vars(module).values() if _is_published(kind, module)]
        if kinds:
            kinds.sort(key=lambda kind: inspect.getsourcelines(kind)[1])
            purpose = _first_line(module)
            body = "\n\n".join(_event(kind, sorted(listeners[kind])) for kind in kinds)
            parts.append(f"## {module.__name__.rpartition('.')[2]}\n\n{purpose}\n\n{body}")
    return _page(
        "Events",
        "Every change appends its event in the transaction that makes it true; the outbox is the event store. "
        "Consumers read in commit order; what a handler writes through its transaction happens exactly once. Fields "
        "are only ever added, with a default. `GET /api/v1/events` lists a tenant's events, `/ws` pushes them. "
        "Besides its fields every event has `id`, `tenant_id`, `occurred_at` and, usually, a subject by whose id its "
        "history is found.",
        "\n\n".join(parts),
    )


def _is_published(kind: Any, module: Any) -> TypeGuard[type[Event]]:
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        return False
    return kind.__module__ == module.__name__ and "type" in kind.__dict__


def _event(kind: type[Event], listeners: list[str]) -> str:
    described = _attributes(kind)
    lines = [f"### `{kind.type}`", "", _summary(kind), ""]
    rows = [
        (f"`{item.name}`", f"`{_type_name(item.type)}`", _field_default(item), described.get(item.name, ""))
        for item in fields(kind)
    ]
    lines.append(_table(("field", "type", "default", "meaning"), rows))
    if listeners:
        lines += ["", f"Consumers: {', '.join(f'`{name}`' for name in listeners)}."]
    return "\n".join(lines)


def _field_default(item: "Field[Any]") -> str:
    return "" if item.default is MISSING else f"`{item.default!r}`"


def permissions() -> str:
    """Permissions, the roles that have them, the operations that need them."""
    operations, free, open_ = _operations()
    names = list(BUILTIN_ROLES)
    rows = [
        (
            str(int(permission)),
            f"`{permission.wire}`",
            *("✓" if BUILTIN_ROLES[name].mask >> permission & 1 else "" for name in names),
            str(len(operations[permission])),
        )
        for permission in Permission
    ]
    roles = [(f"`{name}`", role.description) for name, role in BUILTIN_ROLES.items()]
    needs = "\n\n".join(
        f"### `{permission.wire}`\n\n" + "\n".join(operations[permission])
        for permission in Permission
        if operations[permission]
    )
    return _page(
        "Permissions",
        "A role is a set of permissions, stored as one integer: each permission is a bit, for ever (docs/adr/0011). "
        "The five roles below come with every tenant; more can be made from any subset that their maker has. An API "
        "key has a set of its own.",
        "\n\n".join(
            (
                _table(("role", "what for"), roles),
                _table(("bit", "permission", *names, "operations"), rows),
                f"## What each allows\n\n{needs}",
                "## Any signed-in subject\n\n" + "\n".join(free),
                "## Anyone\n\nThey protect themselves: by a password, a token, or a signature.\n\n" + "\n".join(open_),
            )
        ),
    )


def _operations() -> tuple[dict[Permission, list[str]], list[str], list[str]]:
    needing: dict[Permission, list[str]] = defaultdict(list)
    free: list[str] = []
    open_: list[str] = []
    for context in _routes():
        route = context.original_route
        if not isinstance(route, APIRoute):
            continue
        line = f"- `{' '.join(sorted(context.methods))} {context.path}`: {route.summary or context.name}"
        if isinstance(route, OpenRoute):
            open_.append(line)
        elif isinstance(route, TransactionalRoute):
            for permission in route.permissions:
                needing[permission].append(line)
            if not route.permissions:
                free.append(line)
    return needing, free, open_


def _routes() -> Iterator[Any]:
    """Of the application as it runs; nothing is connected for it."""
    settings = Settings(allow_networks=(), simulator=None)
    database = Database("postgresql://nobody@127.0.0.1/nothing")
    resources = Resources(settings, database, Vault(bytes(32)), Blobs("memory://"), SystemClock())
    yield from iter_route_contexts(build_app(settings, resources).routes)


def _modules(package: Any) -> list[Any]:
    """All modules of a package, imported; programs and migrations are left out."""
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in names if "__main__" not in name and ".migrations." not in name]


def _subclasses(kind: type[CarillonError]) -> list[type[CarillonError]]:
    """The class and everything below it, of the product alone (tests declare errors of their own)."""
    _modules(carillon)
    found, waiting = [], [kind]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if one.__module__.startswith("carillon."):
            found.append(one)
    return found


def _attributes(kind: type) -> dict[str, str]:
    """The `Attributes:` of a Google docstring."""
    text = inspect.cleandoc(kind.__doc__ or "")
    _, _, section = text.partition("Attributes:\n")
    return {name: re.sub(r"\s+", " ", meaning) for name, meaning in _ENTRY.findall(section)}


def _summary(kind: type) -> str:
    """The docstring without its attributes, as one paragraph."""
    return re.sub(r"\s+", " ", inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[0]).strip()


def _first_line(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _type_name(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if isinstance(kind, type) and not hasattr(kind, "__args__"):
        return " | ".join(repr(one.value) for one in kind) if issubclass(kind, Enum) else kind.__name__
    return re.sub(r"\b[a-z_.]+\.(?=[A-Z])", "", str(kind))


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table without the columns in which nothing stands."""
    used = [index for index in range(len(titles)) if not rows or any(row[index] for row in rows)]
    lines = [[line[index] for index in used] for line in (titles, tuple("---" for _ in titles), *rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _page(title: str, purpose: str, body: str) -> str:
    return f"# {title}\n\n{_HEAD}\n{purpose}\n\n{body}\n"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
