"""The alerts, the pages that explain them, and what we export hold together."""

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # comes with schemathesis, untyped
from prometheus_client import REGISTRY
from typer.main import get_command

import carillon
from carillon.events.backlog import Standing
from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.ops.settings import Settings
from carillon.platforms.delivery import families
from carillon.platforms.delivery.figures import Figures, LeaseFigure
from carillon.runtime import cli, figures
from carillon.runtime.application import build_app
from carillon.storage.blobs import Blobs
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from carillon.storage.vault import Vault

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "observability" / "prometheus"
RUNBOOK = ROOT / "docs" / "guide" / "runbook"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "rules" / "carillon.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
PAGES = {page.name: page.read_text("utf-8") for page in RUNBOOK.glob("*.md")}
# Never connected.
RESOURCES = Resources(
    Settings(data=Path("/nowhere")),
    Database("postgresql://nobody@nowhere/nothing"),
    Vault(b"k" * 32),
    Blobs(Path("/nowhere")),
    SystemClock(),
)
METRIC = re.compile(r"\bcarillon_[a-z_]+\b")


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """Every series' name the product can show."""
    for module in pkgutil.walk_packages(carillon.__path__, "carillon."):
        if module.name.endswith(".metrics"):
            importlib.import_module(module.name)
    declared = [name for names in REGISTRY._collector_to_names.values() for name in names]
    lease = LeaseFigure(uuid7(), uuid7(), 1, "online", "x", "owned")
    read = families.families(Figures(datetime.now(UTC), [], [], [lease], {}))
    read += [*figures._consumers([Standing("x", 0.0, 0, None, 0)]), *figures._about(RESOURCES, 0.1)]
    return {*declared, *(sample.name for family in read for sample in family.samples)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_uses_what_we_export_and_leads_to_its_page(rule: dict[str, Any], exported: set[str]) -> None:
    used = set(METRIC.findall(rule["expr"]))
    assert used
    assert used <= exported, used - exported
    assert rule["labels"]["severity"] in ("page", "ticket")
    target = ROOT / rule["annotations"]["runbook_url"]
    text = PAGES[target.name]
    assert target.parent == RUNBOOK
    assert f"Alert `{rule['alert']}`, severity `{rule['labels']['severity']}`." in text
    for part in ("## What it means\n\n", "## How to look\n\n- ", "## How to mend\n\n- "):
        assert part in text
    assert target.name in PAGES["README.md"]


def test_every_page_has_its_alert() -> None:
    assert set(PAGES) - {"README.md"} == {Path(rule["annotations"]["runbook_url"]).name for rule in RULES}


def test_the_pages_name_metrics_that_exist(exported: set[str]) -> None:
    named = {name for text in PAGES.values() for name in METRIC.findall(text)}
    histograms = {name.removesuffix("_bucket") for name in exported}
    assert named <= exported | histograms, named - exported - histograms


def test_the_pages_name_commands_and_endpoints_that_exist() -> None:
    root = get_command(cli.app)
    for text in PAGES.values():
        for command in re.findall(r"`carillon ([a-z]+(?: [a-z]+)?)", text):
            check_command(root, command.split())
    paths = build_app(RESOURCES.settings, RESOURCES).openapi()["paths"]
    for text in PAGES.values():
        for method, path in re.findall(r"`(GET|POST)\s(/api/[^`?\s]+)", text):
            shape = re.sub(r"\{[a-z_]+\}", "{}", path)
            known = {re.sub(r"\{[a-z_]+\}", "{}", name) for name, methods in paths.items() if method.lower() in methods}
            assert shape in known, f"{method} {path}"


def check_command(root: Any, words: list[str]) -> None:
    found = root.get_command(None, words[0])
    assert found is not None, words
    if hasattr(found, "commands"):
        assert words[1:], words
        assert words[1] in found.commands, words


@pytest.mark.skipif(
    shutil.which("promtool") is None and "CI" not in os.environ, reason="promtool is not installed (apt: prometheus)"
)
@pytest.mark.parametrize(
    "arguments", [("check", "rules", "rules/carillon.yml"), ("test", "rules", "tests/carillon.yml")]
)
def test_prometheus_itself_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
