"""`python -m carillon.runtime`: the command line without an installed script, for child processes."""

from .cli import main

main()
