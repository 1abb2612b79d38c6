"""Ids, clock, subject, permissions, pages and base errors: standard library only, imported by everything."""
