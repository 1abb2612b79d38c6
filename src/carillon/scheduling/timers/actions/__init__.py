"""What timers can do: one file per action, named as in the API."""
