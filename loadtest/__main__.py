"""`python -m loadtest`: see loadtest/runs/command.py and docs/loadtest.md."""

import sys

from loadtest.runs.command import main

if __name__ == "__main__":
    sys.exit(main())
