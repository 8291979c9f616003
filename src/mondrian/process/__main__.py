"""A pool's child: ``python -m mondrian.process LABEL PIPE LIFELINE``."""

import sys

from mondrian.process.child import child_main

if __name__ == "__main__":
    child_main(sys.argv[1:])
