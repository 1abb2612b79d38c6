"""`python -m tests.faults.simulation --histories 100`."""

import sys

from .cli import main

sys.exit(main(sys.argv[1:]))
