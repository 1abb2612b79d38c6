"""The generated pages of docs/reference say what the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "scripts" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["configuration.md", "errors.md", "events.md", "permissions.md"])
def test_the_page_is_current(generator: ModuleType, name: str):
    wanted = generator.documents()[name]
    found = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    assert found == wanted, f"run: .venv/bin/python scripts/generate_reference.py ({name} is out of date)"


def test_every_setting_is_explained(generator: ModuleType):
    assert all(line.split("|")[3].strip() for line in generator.configuration().splitlines() if "`CARILLON_" in line)
