"""Accounts, proxies, templates, conversations and the send ledger; connectors plug in below `connectors/`."""
