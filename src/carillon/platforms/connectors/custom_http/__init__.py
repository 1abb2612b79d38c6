"""A tenant's own channel over HTTP: we post messages to its URL, it posts updates to ours, both signed."""
