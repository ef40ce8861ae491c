"""In: ``python -m vaner <command>``. Out: the command's exit status."""

import sys

from vaner.cli import main

if __name__ == "__main__":
    sys.exit(main())
