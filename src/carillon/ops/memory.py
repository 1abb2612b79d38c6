"""The garbage collector, told how rarely to look."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the collector look for cycles rarely: rows make millions of objects and none, half of the time."""
    before = gc.get_threshold()
    # What is there already, modules above all, stays: never looked through again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
