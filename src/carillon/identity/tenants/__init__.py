"""Tenants: the customers of one installation."""
