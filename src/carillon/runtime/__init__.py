"""The composition root: which services exist, how they are put together, and the command line."""
