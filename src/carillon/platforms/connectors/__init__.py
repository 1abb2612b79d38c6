"""Connectors: one small package per platform behind `port`; loaded by the composition root only."""
