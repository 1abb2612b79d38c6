"""The HTTP channel is tried on both event loops: asyncio's own, and uvloop as in production."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

Loops = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]

USUAL: Loops = {"asyncio": asyncio.new_event_loop}
BOTH: Loops = {**USUAL, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Loops:
    return BOTH if item.path.name.startswith("test_custom_http") else USUAL
