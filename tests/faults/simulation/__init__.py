"""The seeded simulation of delivery: the real code on a virtual clock, a wire that fails and a platform that lies."""

from .cli import main

__all__ = ["main"]
