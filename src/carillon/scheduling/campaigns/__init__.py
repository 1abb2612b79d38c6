"""Campaigns: one message to many people who agreed to it."""
