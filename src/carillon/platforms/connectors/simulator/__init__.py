"""A messaging platform to try everything against: a server with its own ledger, and the connector to it.

The server (`python -m carillon.platforms.connectors.simulator`) is a process of its own; it records every
message it accepts before it answers, so that after any crash of ours the two ledgers can be compared. It plays
either a platform that drops a second send with the same key ("telegram") or one that delivers it twice
("whatsapp").
"""
