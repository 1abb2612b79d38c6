"""The bounded set of faults: in order, because each breaks the machine for the next one if it does not clean up."""

from collections.abc import Iterator

import pytest

from .ground import Ground, ground_at
from .registry import SCENARIOS

pytestmark = pytest.mark.acceptance

BOUNDED = [name for name, scenario in SCENARIOS.items() if scenario.quick]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A database server that these tests may break."""
    with ground_at(tmp_path_factory.mktemp("faults")) as ready:
        yield ready


@pytest.mark.parametrize("name", BOUNDED)
async def test_a_fault_breaks_no_promise(ground: Ground, name: str) -> None:
    scenario = SCENARIOS[name]
    missing = scenario.missing()
    if missing is not None:
        pytest.skip(missing)
    outcomes = await scenario.run(ground, True)
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.proven] == []
