"""Carillon: one console for many Telegram and WhatsApp accounts."""

__version__ = "0.1.0"
