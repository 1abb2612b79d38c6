"""The live feed: events of a tenant pushed to its open screens over WebSockets."""
