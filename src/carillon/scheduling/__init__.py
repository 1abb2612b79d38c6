"""When things are sent: campaigns and timers."""
