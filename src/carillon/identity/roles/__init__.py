"""Roles: named permission sets."""
